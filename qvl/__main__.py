"""``python -m qvl``: the command ``qvl``."""

from qvl.command import main

if __name__ == "__main__":
    main()
