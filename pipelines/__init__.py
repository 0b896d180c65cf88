"""One file per DVC stage; each composes the settings and calls dxai. Reference runs compute the same everywhere."""

from dxai.arithmetic import make_portable

make_portable()  # before a stage imports torch
