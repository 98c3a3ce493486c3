"""A change is noticed whoever made it, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.changes import ChangeWatch


def test_every_commit_changes_the_stamp_and_reading_does_not(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        watch = ChangeWatch(catalogue.database)
        first = watch.stamp()
        catalogue.slides.select()
        assert watch.stamp() == first
        catalogue.collections.create("mine")
        second = watch.stamp()
        assert second != first
        assert watch.stamp() == second
        with Catalogue.open(Workspace(tmp_path)) as other:
            other.settings.set("encoder", "null")
        assert watch.stamp() != second
        watch.close()
        watch.close()
        assert watch.stamp() == -1
