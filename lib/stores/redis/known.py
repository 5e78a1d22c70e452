"""What the server is known to have, kept beside what it is about: in the database itself.

shared        which state of each document, and its stamp; a document is owed when its state is
              another one, or when it is gone
shared_lists  up to which mark each list; beyond it the rows up to the number `sent` were sent
              already, and of the server's so many `taken`
removals      when what is owed as removed was removed
"""

from __future__ import annotations

PENDING = """
SELECT documents.shelf, documents.name, documents.id FROM documents
LEFT JOIN shared ON shared.shelf = documents.shelf AND shared.name = documents.name
WHERE documents.shelf IN ('keys', 'checkpoints') AND documents.id IS NOT shared.id
AND NOT (documents.shelf = 'checkpoints' AND (documents.name GLOB 'before-restore-*'
  OR documents.name GLOB 'before-undo-*' OR documents.name GLOB 'before-migrate-*'))
ORDER BY documents.id
"""
"""What was kept before a change here is for taking back that change, here."""

REMOVED = """
SELECT shared.shelf, shared.name, coalesce(removals.at, '') FROM shared
LEFT JOIN documents ON shared.shelf = documents.shelf AND shared.name = documents.name
LEFT JOIN removals ON shared.shelf = removals.shelf AND shared.name = removals.name
WHERE documents.id IS NULL AND shared.id IS NOT NULL
"""
KNOWN = """
SELECT documents.id, shared.id, shared.stamp FROM
(SELECT ? AS shelf, ? AS name) AS asked LEFT JOIN documents USING (shelf, name)
LEFT JOIN shared USING (shelf, name)
"""
ELSEWHERE = """
SELECT documents.name FROM documents JOIN shared USING (shelf, name)
WHERE shelf = 'checkpoints' AND theirs AND documents.id = shared.id ORDER BY stamp DESC
"""
AGAIN = -1
"""What stands for a document's state when its removal is to be sent again."""
