"""Imported once by the server that workers are forked from. Nothing here computes: a fork keeps no threads."""

import os

from utils.hub.inference.worker import OFFLINE

os.environ |= OFFLINE

import torch  # noqa: E402, F401
import transformers  # noqa: E402
from transformers import pipeline  # noqa: E402, F401

transformers.logging.set_verbosity_error()
