"""`espcn` and `python -m espcn_cli`: signals are heeded before anything else is imported."""

from __future__ import annotations

from espcn_cli.cli.stopping import watching


def main() -> None:
    with watching(whole=True):
        from espcn_cli.cli.app import app

        app()


if __name__ == "__main__":
    main()
