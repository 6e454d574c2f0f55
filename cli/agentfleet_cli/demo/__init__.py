"""The demo: a whole fleet at work on this machine for a minute, watched live and summed up at the end."""
