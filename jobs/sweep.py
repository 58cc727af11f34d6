"""The sweep of temperature and alpha as a job: `ray job submit --working-dir . -- python jobs/sweep.py quickstart`.

Takes the arguments of `raykd sweep`, and does what is missing of the steps before.
"""

import sys

from raykd.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["sweep"]
    main()
