"""``python -m plipdesk``: the same as the command ``plipdesk``."""

from plipdesk.cli.main import main

if __name__ == "__main__":
    main()
