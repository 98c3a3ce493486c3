PRAGMA application_id = 1886153072;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE annotations (
	annotation_id VARCHAR(36) NOT NULL, 
	slide_id VARCHAR(32) NOT NULL, 
	kind VARCHAR NOT NULL, 
	geometry JSON NOT NULL, 
	name VARCHAR NOT NULL, 
	class_name VARCHAR, 
	colour VARCHAR, 
	locked BOOLEAN NOT NULL, 
	created_at VARCHAR NOT NULL, 
	changed_at VARCHAR NOT NULL, 
	PRIMARY KEY (annotation_id), 
	FOREIGN KEY(slide_id) REFERENCES slides (slide_id) ON DELETE CASCADE
);
CREATE TABLE collection_slides (
	collection_id INTEGER NOT NULL, 
	slide_id VARCHAR(32) NOT NULL, 
	PRIMARY KEY (collection_id, slide_id), 
	FOREIGN KEY(collection_id) REFERENCES collections (collection_id) ON DELETE CASCADE, 
	FOREIGN KEY(slide_id) REFERENCES slides (slide_id) ON DELETE CASCADE
);
INSERT INTO "collection_slides" VALUES(1,'00000000000000000000000000000001');
CREATE TABLE collections (
	collection_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	encoder VARCHAR, 
	PRIMARY KEY (collection_id), 
	UNIQUE (name)
);
INSERT INTO "collections" VALUES(1,'tumours','2026-11-23T17:15:57.292Z',NULL);
CREATE TABLE corrections (
	slide_id VARCHAR(32) NOT NULL, 
	label_set VARCHAR NOT NULL, 
	x0_px INTEGER NOT NULL, 
	y0_px INTEGER NOT NULL, 
	size0_px FLOAT NOT NULL, 
	class_name VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	PRIMARY KEY (slide_id, label_set, x0_px, y0_px, size0_px), 
	FOREIGN KEY(slide_id) REFERENCES slides (slide_id) ON DELETE CASCADE
);
CREATE TABLE embeddings (
	embedding_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	slide_id VARCHAR(32) NOT NULL, 
	tiling_id VARCHAR NOT NULL, 
	encoder_fingerprint VARCHAR(32) NOT NULL, 
	encoder_id VARCHAR NOT NULL, 
	tiling JSON NOT NULL, 
	patch_mpp_um FLOAT NOT NULL, 
	size0_px FLOAT NOT NULL, 
	file VARCHAR NOT NULL, 
	patches INTEGER NOT NULL, 
	dim INTEGER NOT NULL, 
	tissue_mm2 FLOAT NOT NULL, 
	seconds FLOAT NOT NULL, 
	committed_at VARCHAR NOT NULL, 
	CONSTRAINT nothing_is_encoded_twice UNIQUE (slide_id, tiling_id, encoder_fingerprint), 
	FOREIGN KEY(slide_id) REFERENCES slides (slide_id) ON DELETE CASCADE, 
	UNIQUE (file)
);
INSERT INTO "embeddings" VALUES(1,'00000000000000000000000000000001','tttttttttttttttt','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','null','{"patch_px": 64, "patch_mpp_um": 0.5, "tissue": "auto"}',0.5,64.0,'vectors/00/00000000000000000000000000000001-tttttttttttttttt-eeeeeeeeeeeeeeee.safetensors',10,32,1.5,0.1,'2026-11-23T00:00:01.000Z');
CREATE TABLE job_items (
	job_id INTEGER NOT NULL, 
	path VARCHAR NOT NULL, 
	slide_id VARCHAR(32), 
	status VARCHAR NOT NULL, 
	reason VARCHAR, 
	remedy VARCHAR, 
	patches INTEGER NOT NULL, 
	tissue_mm2 FLOAT, 
	seconds FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	PRIMARY KEY (job_id, path), 
	CONSTRAINT item_status_is_known CHECK (status IN ('indexed', 'unchanged', 'skipped', 'failed')), 
	FOREIGN KEY(job_id) REFERENCES jobs (job_id) ON DELETE CASCADE
);
INSERT INTO "job_items" VALUES(1,'/slides/colon.svs','00000000000000000000000000000001','indexed',NULL,NULL,10,1.5,0.1,1);
CREATE TABLE jobs (
	job_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind VARCHAR NOT NULL, 
	params JSON NOT NULL, 
	state VARCHAR NOT NULL, 
	wanted VARCHAR NOT NULL, 
	priority INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	owner VARCHAR, 
	heartbeat_at VARCHAR, 
	done INTEGER NOT NULL, 
	total INTEGER NOT NULL, 
	unit VARCHAR NOT NULL, 
	note VARCHAR NOT NULL, 
	reason VARCHAR, 
	checkpoint JSON NOT NULL, 
	result JSON NOT NULL, 
	created_at VARCHAR NOT NULL, 
	started_at VARCHAR, 
	finished_at VARCHAR, 
	CONSTRAINT job_state_is_known CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')), 
	CONSTRAINT job_order_is_known CHECK (wanted IN ('no', 'pause', 'cancel'))
);
INSERT INTO "jobs" VALUES(1,'index','{"paths": ["/slides/colon.svs"]}','paused','no',0,1,NULL,'2026-11-23T17:15:57.268Z',0,0,'','',NULL,'{}','{}','2026-11-23T17:15:57.254Z','2026-11-23T17:15:57.268Z',NULL);
CREATE TABLE settings (
	"key" VARCHAR NOT NULL, 
	value JSON NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "settings" VALUES('encoder','"plipdesk-mini"');
CREATE TABLE slides (
	slide_id VARCHAR(32) NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	format VARCHAR NOT NULL, 
	vendor VARCHAR, 
	width_px INTEGER NOT NULL, 
	height_px INTEGER NOT NULL, 
	mpp_um FLOAT, 
	mpp_source VARCHAR NOT NULL, 
	objective_power FLOAT, 
	file_bytes BIGINT NOT NULL, 
	file_mtime_ns BIGINT NOT NULL, 
	tissue_mm2 FLOAT, 
	case_name VARCHAR, 
	stain VARCHAR, 
	organ VARCHAR, 
	added_at VARCHAR NOT NULL, 
	notes JSON NOT NULL, 
	channels JSON, 
	PRIMARY KEY (slide_id), 
	CONSTRAINT slide_id_is_a_fingerprint CHECK (length(slide_id) = 32), 
	CONSTRAINT slide_has_area CHECK (width_px > 0 AND height_px > 0)
);
INSERT INTO "slides" VALUES('00000000000000000000000000000001','/slides/colon.svs','colon.svs','aperio','aperio',4000,3000,0.25,'given',20.0,1001,5,NULL,'case 7',NULL,NULL,'2026-11-23T00:00:00.000Z','["MPP given."]',NULL);
CREATE INDEX slides_by_case ON slides (case_name);
CREATE INDEX slides_by_path ON slides (path);
CREATE INDEX slides_by_name ON slides (name);
CREATE INDEX jobs_by_state ON jobs (state, priority);
CREATE INDEX collections_by_slide ON collection_slides (slide_id);
CREATE INDEX embeddings_by_encoder ON embeddings (encoder_fingerprint);
CREATE INDEX annotations_by_slide ON annotations (slide_id);
CREATE INDEX annotations_by_class ON annotations (class_name);
CREATE INDEX corrections_by_label_set ON corrections (label_set);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',1);
INSERT INTO "sqlite_sequence" VALUES('embeddings',1);
COMMIT;
