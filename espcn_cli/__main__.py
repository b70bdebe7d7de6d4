"""`python -m espcn_cli` is `espcn`."""

from espcn_cli.cli.app import app

if __name__ == "__main__":
    app()
