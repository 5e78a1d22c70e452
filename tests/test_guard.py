"""The harness itself: a test cannot touch a real state directory."""

from __future__ import annotations

import pytest

from lib.state import State
from tests.conftest import ROOT, RealStateDirectory


def test_a_real_state_directory_cannot_be_opened():
    with pytest.raises(RealStateDirectory):
        State(ROOT / ".claude" / "state").save_state("key", 1)
    assert not (ROOT / ".claude").exists()
