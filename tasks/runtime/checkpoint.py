"""Where a training keeps its state while it runs, so that it goes on after a kill."""

from capmat_errors import NotFound
from storage.store.root import Root


class StoreCheckpointer:
    """Keeps one checkpoint under one key of the store; `where` is its address.

    Args:
        store: URL of the store.
        key: name of the checkpoint, made from everything that the training depends on.
    """

    def __init__(self, store: str, key: str) -> None:
        self._root, self._key = Root(store), f"checkpoints/{key}.pt"
        self.where = self._root.at(self._key)

    def load(self) -> bytes | None:
        """The last saved state, or None at the start."""
        try:
            return self._root.read(self._key)
        except NotFound:
            return None

    def save(self, data: bytes) -> None:
        """Replace the state in one step."""
        self._root.write(self._key, data)

    def forget(self) -> None:
        """Delete the state of a finished training."""
        self._root.delete(self._key)
