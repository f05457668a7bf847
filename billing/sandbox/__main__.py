import os

from billing.sandbox.options import Options
from billing.sandbox.server import serve

serve(Options.read(None, os.environ))
