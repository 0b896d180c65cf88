"""One file per DVC stage; each composes the settings and calls dxai."""
