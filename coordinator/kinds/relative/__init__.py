"""`loadgen relative`: how good is each environment at a command, relative to the first one?"""
