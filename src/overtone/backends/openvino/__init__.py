"""Models through OpenVINO, on a CPU."""
