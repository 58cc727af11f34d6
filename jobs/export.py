"""A finished run's model as files to serve, as a job: `ray job submit --working-dir . -- python jobs/export.py RUN`.

Takes the arguments of `raykd export`; formats other than SavedModel and Keras need the extra `export` on the nodes.
"""

import sys

from raykd.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["export"]
    main()
