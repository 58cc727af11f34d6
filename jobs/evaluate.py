"""The evaluation of every model as a job: `ray job submit --working-dir . -- python jobs/evaluate.py quickstart`.

Takes the arguments of `raykd evaluate`, and does what is missing of the steps before.
"""

import sys

from raykd.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["evaluate"]
    main()
