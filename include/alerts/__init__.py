"""What a person must look at: which kinds there are, what waits too long, and how people are told."""
