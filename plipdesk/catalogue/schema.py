"""The tables as they are now. How older workspaces get there is told in :mod:`plipdesk.catalogue.migrations`."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

slides = Table(
    "slides",
    metadata,
    Column("slide_id", String(32), primary_key=True),
    Column("path", String, nullable=False),
    Column("name", String, nullable=False),
    Column("format", String, nullable=False),
    Column("vendor", String),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("mpp_um", Float),
    Column("mpp_source", String, nullable=False),
    Column("objective_power", Float),
    Column("file_bytes", BigInteger, nullable=False),
    Column("file_mtime_ns", BigInteger, nullable=False),
    Column("tissue_mm2", Float),
    Column("case_name", String),
    Column("stain", String),
    Column("organ", String),
    Column("added_at", String, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("channels", JSON(none_as_null=True)),
    CheckConstraint("length(slide_id) = 32", name="slide_id_is_a_fingerprint"),
    CheckConstraint("width_px > 0 AND height_px > 0", name="slide_has_area"),
    Index("slides_by_path", "path"),
    Index("slides_by_name", "name"),
    Index("slides_by_case", "case_name"),
)

collections = Table(
    "collections",
    metadata,
    Column("collection_id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", String, nullable=False),
    Column("encoder", String),
)

collection_slides = Table(
    "collection_slides",
    metadata,
    Column("collection_id", ForeignKey("collections.collection_id", ondelete="CASCADE"), primary_key=True),
    Column("slide_id", ForeignKey("slides.slide_id", ondelete="CASCADE"), primary_key=True),
    Index("collections_by_slide", "slide_id"),
)

embeddings = Table(
    "embeddings",
    metadata,
    # AUTOINCREMENT: an id is never used twice, since the HNSW cache knows parts by it.
    Column("embedding_id", Integer, primary_key=True),
    Column("slide_id", ForeignKey("slides.slide_id", ondelete="CASCADE"), nullable=False),
    Column("tiling_id", String, nullable=False),
    Column("encoder_fingerprint", String(32), nullable=False),
    Column("encoder_id", String, nullable=False),
    Column("tiling", JSON, nullable=False),
    Column("patch_mpp_um", Float, nullable=False),
    Column("size0_px", Float, nullable=False),
    Column("file", String, nullable=False, unique=True),
    Column("patches", Integer, nullable=False),
    Column("dim", Integer, nullable=False),
    Column("tissue_mm2", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("committed_at", String, nullable=False),
    UniqueConstraint("slide_id", "tiling_id", "encoder_fingerprint", name="nothing_is_encoded_twice"),
    Index("embeddings_by_encoder", "encoder_fingerprint"),
    sqlite_autoincrement=True,
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("params", JSON, nullable=False),
    Column("state", String, nullable=False),
    Column("wanted", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", String),
    Column("heartbeat_at", String),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("unit", String, nullable=False),
    Column("note", String, nullable=False),
    Column("reason", String),
    Column("checkpoint", JSON, nullable=False),
    Column("result", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Column("started_at", String),
    Column("finished_at", String),
    CheckConstraint(
        "state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')", name="job_state_is_known"
    ),
    CheckConstraint("wanted IN ('no', 'pause', 'cancel')", name="job_order_is_known"),
    Index("jobs_by_state", "state", "priority"),
    sqlite_autoincrement=True,
)

job_items = Table(
    "job_items",
    metadata,
    Column("job_id", ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
    Column("path", String, primary_key=True),
    Column("slide_id", String(32)),
    Column("status", String, nullable=False),
    Column("reason", String),
    Column("remedy", String),
    Column("patches", Integer, nullable=False),
    Column("tissue_mm2", Float),
    Column("seconds", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    CheckConstraint("status IN ('indexed', 'unchanged', 'skipped', 'failed')", name="item_status_is_known"),
)

# Not called like the table: the module imports annotations from __future__.
drawn = Table(
    "annotations",
    metadata,
    Column("annotation_id", String(36), primary_key=True),
    Column("slide_id", ForeignKey("slides.slide_id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False),
    # A GeoJSON geometry in level-0 pixels.
    Column("geometry", JSON, nullable=False),
    Column("name", String, nullable=False),
    Column("class_name", String),
    Column("colour", String),
    Column("locked", Boolean, nullable=False),
    Column("created_at", String, nullable=False),
    Column("changed_at", String, nullable=False),
    Index("annotations_by_slide", "slide_id"),
    Index("annotations_by_class", "class_name"),
)

corrections = Table(
    "corrections",
    metadata,
    Column("slide_id", ForeignKey("slides.slide_id", ondelete="CASCADE"), primary_key=True),
    # Name of the label set, whatever its version: a class that is no longer in it is passed over.
    Column("label_set", String, primary_key=True),
    Column("x0_px", Integer, primary_key=True),
    Column("y0_px", Integer, primary_key=True),
    Column("size0_px", Float, primary_key=True),
    Column("class_name", String, nullable=False),
    Column("created_at", String, nullable=False),
    Index("corrections_by_label_set", "label_set"),
)

settings = Table(
    "settings",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", JSON, nullable=False),
)
