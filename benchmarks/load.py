"""How busy the machine is with other work: read when this is imported, as afterwards it is busy with ours."""

import os

LOAD_BEFORE = round(os.getloadavg()[0], 2)  # processes that ran or waited, a mean of the last minute
