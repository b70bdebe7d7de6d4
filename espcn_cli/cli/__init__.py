"""The commands, one module each: options in, one call, results out; only this room prints, draws and exits."""
