"""The teachers as a job: `ray job submit --working-dir . -- python jobs/teachers.py quickstart`.

Takes the arguments of `raykd teachers`, and does what is missing of the steps before.
"""

import sys

from raykd.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["teachers"]
    main()
