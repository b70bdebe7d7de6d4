"""Training: pictures and settings in, the checkpoint that scored best out; stops and resumes exactly."""
