"""`python -m overtone` is the console script."""

from overtone.cli import main

if __name__ == "__main__":
    main()
