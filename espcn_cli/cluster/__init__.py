"""Pictures and videos shared out to the machines of a Ray cluster."""
