"""apps/fastapi_app.py once more: older FastAPI makes its openapi.json once, with the prefix of that request."""

import importlib.util
import os

spec = importlib.util.spec_from_file_location("fastapi_mounted_app", os.path.join(os.path.dirname(__file__), "fastapi_app.py"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
app = module.app
