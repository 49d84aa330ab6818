"""For the reference: the comment behind a field of a class is the field's description."""

import re
from typing import Any

import griffe

COMMENT = re.compile(r"\s# (?P<text>[^\"']*)$")


class FieldComments(griffe.Extension):
    """Reads the comments, which Python's syntax tree leaves out."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Gives a field of a class its comment as docstring, unless it has one."""
        if attr.docstring is None and attr.parent is not None and attr.parent.is_class:
            comment = COMMENT.search(attr.source)
            if comment is not None:
                attr.docstring = griffe.Docstring(comment["text"], parent=attr)
