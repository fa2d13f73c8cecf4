"""The machine and this process: memory, processors, devices, files, child processes, the profiler."""
