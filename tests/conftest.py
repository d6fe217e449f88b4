"""What the project's own tests need beyond the fixtures that the package brings."""

from __future__ import annotations

import hypothesis

# A busy machine makes single examples slow, which says nothing about the code.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")
