"""What takes and stages have in common: a Zarr group that describes itself, its cameras, and a seal.

A group is sealed when all of it is stored. A group without a seal is not opened by mistake.
"""

from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Self

from capmat_errors import CapmatError, NotFound, StoreError, no_such
from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.ledger import Ledger, group_document, read_description, restore_description, seal_key, set_seal
from storage.store.root import Root, checked_name


class DescriptionDamaged(StoreError):
    """What a take or a stage says about itself cannot be understood."""

    def __init__(self, kind: str, where: str) -> None:
        what = f"the description of the {kind} is damaged"
        super().__init__(what, where=where, fix="Run `capmat verify`; it says how to mend it.")


class OtherVersion(StoreError):
    """A take or a stage of a schema that this capmat does not know."""


class Group:
    """A take or a stage. Pickles as its address.

    Attributes:
        kind: "take" or "stage".
        root: the store.
        name: its name.
        key: key of its folder.
        sensors: calibration by camera name, in the size of what was recorded.
        cameras: calibration of the pictures; for Bayer mosaics half the size, else the same.
        colour: what the stored numbers mean.
        source: where it came from.
        complete: whether it is sealed.
    """

    kind: ClassVar[str]

    def __init__(self, root: Root, name: str, attributes: dict[str, Any]) -> None:
        self.root, self.name, self.key = root, name, group_key(self.kind, name)
        self.colour = Colour.from_json(attributes["colour"])
        self.sensors = {id: Camera.from_json(id, data) for id, data in attributes["cameras"].items()}
        self.cameras = {id: camera.halved() if self.colour.cfa else camera for id, camera in self.sensors.items()}
        self.source: dict[str, Any] = attributes["source"]
        self.complete: bool = attributes["complete"]

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self).open, sealed=False), (self.root, self.name)

    @classmethod
    def open(cls, root: Root, name: str, *, sealed: bool = True) -> Self:
        """Open a group of the store.

        Args:
            root: the store.
            name: its name.
            sealed: refuse one that is not complete yet.

        Raises:
            NotFound: it does not exist; the message lists those that do.
            StoreError: its ingest has not finished, another version of capmat wrote it (OtherVersion), or what it
                says about itself cannot be understood (DescriptionDamaged).
        """
        key, attributes = group_key(cls.kind, name), cls._stored(root, name)
        if attributes is None:
            raise no_such(cls.kind, name, list_groups(root, cls.kind), where=root.at(key), fix="Ingest it first.")
        attributes = cls._readable(attributes, root.at(key))
        if sealed and not attributes["complete"]:
            raise StoreError(
                f"the {cls.kind} is not complete, its ingest has not finished",
                where=root.at(key),
                fix="Run the ingest again; it goes on where it stopped.",
            )
        try:
            return cls(root, name, attributes)
        except (CapmatError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DescriptionDamaged(cls.kind, root.at(f"{key}/zarr.json")) from error

    @classmethod
    def _stored(cls, root: Root, name: str) -> dict[str, Any] | None:
        """The attributes as they are stored; None if the group does not exist."""
        key = group_key(cls.kind, name)
        if description := read_description(root, key):
            return dict(description["attributes"])
        if root.exists(f"{key}/zarr.json"):
            raise DescriptionDamaged(cls.kind, root.at(f"{key}/zarr.json"))
        return None

    @staticmethod
    def _readable(attributes: dict[str, Any], where: str) -> dict[str, Any]:
        """The attributes in the words of this version; raises OtherVersion for an unknown schema."""
        raise NotImplementedError

    @classmethod
    def _start(cls, root: Root, name: str, attributes: dict[str, Any], *, afresh: bool) -> Self:
        """Write the description of a group that is not sealed yet; `afresh` removes all that the folder holds."""
        key = group_key(cls.kind, name)
        Ledger(root).forget(seal_key(key))
        if afresh:
            root.delete(key)
        root.sweep(f"{key}/zarr.json")
        root.write(f"{key}/zarr.json", group_document(attributes))
        return cls(root, name, attributes)

    def seal(self) -> None:
        """Declare the group complete. The last write of an ingest."""
        set_seal(self.root, self.key, True)
        self.complete = True

    @classmethod
    def break_seal(cls, root: Root, name: str) -> None:
        """Take the seal off a group that has lost something. What it says about itself may be damaged.

        A description that cannot be understood, and of which the ledger has no copy, is removed: the next ingest
        makes all of the group again.

        Raises:
            StoreError: the store cannot be read or written to.
        """
        key = group_key(cls.kind, name)
        restore_description(root, key)
        with suppress(NotFound, OtherVersion):  # it is gone, or a later capmat wrote it
            try:
                cls.open(root, name, sealed=False)
            except DescriptionDamaged:
                root.remove(f"{key}/zarr.json")

    def camera(self, name: str) -> Camera:
        """The calibration of a camera's pictures.

        Raises:
            NotFound: the group has no such camera.
        """
        if name not in self.cameras:
            where = f"{self.kind} {self.name}"
            raise no_such("camera", name, self.cameras, where=where, holder=f"the {self.kind}")
        return self.cameras[name]


def group_key(kind: str, name: str) -> str:
    """Key of the folder of a "take" or a "stage"."""
    return f"{kind}s/{checked_name(kind, name)}.zarr"


def list_groups(root: Root, kind: str, *, sealed: bool = True) -> list[str]:
    """Names of the takes or stages in the store; only complete ones unless `sealed` is False."""
    names = [name.removesuffix(".zarr") for name in root.names(f"{kind}s") if name.endswith(".zarr")]
    descriptions = {name: read_description(root, group_key(kind, name)) for name in names}
    return [name for name, d in descriptions.items() if d and (d["attributes"]["complete"] or not sealed)]
