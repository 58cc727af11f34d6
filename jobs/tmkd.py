"""The whole job through `ray job submit`: `ray job submit --working-dir . -- python jobs/tmkd.py quickstart`.

Takes the arguments of `raykd run`.
"""

import sys

from raykd.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["run"]
    main()
