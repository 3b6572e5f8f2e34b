BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'sweep');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'sweep','{"space": {"model.lambda_cycle": {"type": "choice", "values": [5, 10]}}, "overrides": ["data=tiny", "data.count=4", "model.generator.filters=2", "model.generator.blocks=1", "model.discriminator.filters=2", "model.discriminator.layers=1", "model.pool_size=0", "trainer=cpu", "trainer.log_every=1", "callbacks.ema.decay=0.9", "~callbacks.set_scores", "~callbacks.cycle_scores", "model.optimizer_G._target_=torch.optim.SGD", "~model.optimizer_G.betas", "model.optimizer_D._target_=torch.optim.SGD", "~model.optimizer_D.betas", "trainer.max_steps=4", "trainer.val_every=1"], "budget": null}');
INSERT INTO "study_user_attributes" VALUES(2,1,'base','{"monitor": "val/psnr", "mode": "highest", "batch_size": 1, "processes": 1}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,25,11.4452909,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,50,11.4893903,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,75,11.5316787,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,1,100,11.5596809,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,25,11.4350471,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,50,11.461261,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'model.lambda_cycle',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [5, 10]}}');
INSERT INTO "trial_params" VALUES(2,2,'model.lambda_cycle',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [5, 10]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'search_space','{"model.lambda_cycle": [5, 10]}');
INSERT INTO "trial_system_attributes" VALUES(2,1,'grid_id','0');
INSERT INTO "trial_system_attributes" VALUES(3,2,'search_space','{"model.lambda_cycle": [5, 10]}');
INSERT INTO "trial_system_attributes" VALUES(4,2,'grid_id','1');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'owner','"host:sweep"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'seconds','59.3');
INSERT INTO "trial_user_attributes" VALUES(3,1,'score','11.5596809');
INSERT INTO "trial_user_attributes" VALUES(4,1,'iteration','4');
INSERT INTO "trial_user_attributes" VALUES(5,2,'owner','"host:sweep"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,11.5596809,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-28 15:34:46.413172','2026-11-28 15:35:46.129831');
INSERT INTO "trials" VALUES(2,1,1,'RUNNING','2026-11-28 15:35:46.526745',NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
