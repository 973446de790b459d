"""MLflow's tables, as its SQL store has them (column names, keys, and what may be null).

``TABLES`` are those that the file store's index holds: all but metric history, which stays in the metric files.
The index may be thrown away at any time, so its tables are clustered for our own queries: a run's rows lie
together (``WITHOUT ROWID``, run first), which makes filling a page of runs one range scan per run.
"""

TABLES = """
CREATE TABLE experiments (
    experiment_id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(256) NOT NULL,
    artifact_location VARCHAR(256),
    lifecycle_stage VARCHAR(32) CHECK (lifecycle_stage IN ('active', 'deleted')),
    creation_time BIGINT,
    last_update_time BIGINT
);
CREATE INDEX experiments_by_name ON experiments (name);
CREATE TABLE experiment_tags (
    experiment_id INTEGER NOT NULL,
    key VARCHAR(250) NOT NULL,
    value TEXT,
    PRIMARY KEY (experiment_id, key)
) WITHOUT ROWID;
CREATE TABLE runs (
    run_uuid VARCHAR(32) NOT NULL PRIMARY KEY,
    name VARCHAR(250),
    user_id VARCHAR(256),
    status VARCHAR(9) CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')),
    start_time BIGINT,
    end_time BIGINT,
    lifecycle_stage VARCHAR(20) CHECK (lifecycle_stage IN ('active', 'deleted')),
    artifact_uri VARCHAR(200),
    experiment_id INTEGER,
    deleted_time BIGINT
) WITHOUT ROWID;
CREATE INDEX runs_of_experiment ON runs (experiment_id, lifecycle_stage, start_time DESC, run_uuid);
-- Narrower than the table: what a search by metrics reads of every run. Made last, so that SQLite prefers it.
CREATE INDEX runs_by_id ON runs (experiment_id, lifecycle_stage, run_uuid, start_time);
CREATE TABLE tags (
    run_uuid VARCHAR(32) NOT NULL,
    key VARCHAR(250) NOT NULL,
    value VARCHAR(8000),
    PRIMARY KEY (run_uuid, key)
) WITHOUT ROWID;
CREATE TABLE params (
    run_uuid VARCHAR(32) NOT NULL,
    key VARCHAR(250) NOT NULL,
    value VARCHAR(8000) NOT NULL,
    PRIMARY KEY (run_uuid, key)
) WITHOUT ROWID;
CREATE TABLE latest_metrics (
    run_uuid VARCHAR(32) NOT NULL,
    key VARCHAR(250) NOT NULL,
    value FLOAT NOT NULL,
    timestamp BIGINT,
    step BIGINT NOT NULL,
    is_nan BOOLEAN NOT NULL,
    PRIMARY KEY (run_uuid, key)
) WITHOUT ROWID;
CREATE TABLE datasets (
    dataset_uuid VARCHAR(36) NOT NULL,
    experiment_id INTEGER NOT NULL,
    name VARCHAR(500) NOT NULL,
    digest VARCHAR(36) NOT NULL,
    dataset_source_type VARCHAR(36) NOT NULL,
    dataset_source TEXT NOT NULL,
    dataset_schema TEXT,
    dataset_profile TEXT,
    PRIMARY KEY (experiment_id, name, digest)
);
CREATE INDEX datasets_by_uuid ON datasets (dataset_uuid);
CREATE TABLE inputs (
    input_uuid VARCHAR(36) NOT NULL,
    source_type VARCHAR(36) NOT NULL,
    source_id VARCHAR(36) NOT NULL,
    destination_type VARCHAR(36) NOT NULL,
    destination_id VARCHAR(36) NOT NULL,
    step BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (source_type, source_id, destination_type, destination_id)
);
CREATE INDEX inputs_by_destination ON inputs (destination_type, destination_id, source_type);
CREATE INDEX inputs_by_uuid ON inputs (input_uuid);
CREATE TABLE input_tags (
    input_uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    value VARCHAR(500) NOT NULL,
    PRIMARY KEY (input_uuid, name)
);
CREATE TABLE logged_models (
    model_id VARCHAR(36) NOT NULL PRIMARY KEY,
    experiment_id INTEGER NOT NULL,
    name VARCHAR(500) NOT NULL,
    artifact_location VARCHAR(1000) NOT NULL,
    creation_timestamp_ms BIGINT NOT NULL,
    last_updated_timestamp_ms BIGINT NOT NULL,
    status INTEGER NOT NULL,
    lifecycle_stage VARCHAR(32) CHECK (lifecycle_stage IN ('active', 'deleted')),
    model_type VARCHAR(500),
    source_run_id VARCHAR(32),
    status_message VARCHAR(1000)
) WITHOUT ROWID;
CREATE INDEX logged_models_of_experiment
    ON logged_models (experiment_id, lifecycle_stage, creation_timestamp_ms DESC, model_id);
-- Not by a unique key: in a folder a run may have several points of a metric at one moment, on different datasets.
CREATE TABLE logged_model_metrics (
    model_id VARCHAR(36) NOT NULL,
    metric_name VARCHAR(500) NOT NULL,
    metric_timestamp_ms BIGINT NOT NULL,
    metric_step BIGINT NOT NULL,
    metric_value FLOAT,
    experiment_id INTEGER NOT NULL,
    run_id VARCHAR(32) NOT NULL,
    dataset_uuid VARCHAR(36),
    dataset_name VARCHAR(500),
    dataset_digest VARCHAR(36)
);
CREATE INDEX logged_model_metrics_of_model
    ON logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, run_id);
CREATE TABLE logged_model_params (
    model_id VARCHAR(36) NOT NULL,
    experiment_id INTEGER NOT NULL,
    param_key VARCHAR(255) NOT NULL,
    param_value TEXT NOT NULL,
    PRIMARY KEY (model_id, param_key)
) WITHOUT ROWID;
CREATE TABLE logged_model_tags (
    model_id VARCHAR(36) NOT NULL,
    experiment_id INTEGER NOT NULL,
    tag_key VARCHAR(255) NOT NULL,
    tag_value TEXT NOT NULL,
    PRIMARY KEY (model_id, tag_key)
) WITHOUT ROWID;
CREATE TABLE registered_models (
    name VARCHAR(256) NOT NULL PRIMARY KEY,
    creation_time BIGINT,
    last_updated_time BIGINT,
    description VARCHAR(5000)
);
-- Searches go over all models: what has a tag is found by its key. (So are MLflow's own tables ordered.)
CREATE TABLE registered_model_tags (
    name VARCHAR(256) NOT NULL,
    key VARCHAR(250) NOT NULL,
    value VARCHAR(5000),
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
CREATE INDEX registered_model_tags_by_name ON registered_model_tags (name);
CREATE TABLE registered_model_aliases (
    name VARCHAR(256) NOT NULL,
    alias VARCHAR(256) NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (name, alias)
) WITHOUT ROWID;
CREATE TABLE model_versions (
    name VARCHAR(256) NOT NULL,
    version INTEGER NOT NULL,
    creation_time BIGINT,
    last_updated_time BIGINT,
    description VARCHAR(5000),
    user_id VARCHAR(256),
    current_stage VARCHAR(20),
    source VARCHAR(500),
    storage_location VARCHAR(500),
    run_id VARCHAR(32),
    run_link VARCHAR(500),
    status VARCHAR(20),
    status_message VARCHAR(500),
    PRIMARY KEY (name, version)
);
-- The latest versions of a page of models are looked up in it alone.
CREATE INDEX model_versions_by_stage ON model_versions (name, current_stage, version);
CREATE TABLE model_version_tags (
    name VARCHAR(256) NOT NULL,
    version INTEGER NOT NULL,
    key VARCHAR(250) NOT NULL,
    value TEXT,
    PRIMARY KEY (key, name, version)
) WITHOUT ROWID;
CREATE INDEX model_version_tags_by_version ON model_version_tags (name, version);
"""

#: How ``inputs`` names the two ends of a row, as MLflow's SQL store writes them.
DATASET_TO_RUN = ("DATASET", "RUN")
RUN_TO_MODEL_INPUT = ("RUN_INPUT", "MODEL_INPUT")
RUN_TO_MODEL_OUTPUT = ("RUN_OUTPUT", "MODEL_OUTPUT")
