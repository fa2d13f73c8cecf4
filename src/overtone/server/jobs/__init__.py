"""Jobs: work that is handed in now and fetched later, and outlives the process that took it in."""
