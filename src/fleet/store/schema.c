/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/schema - the numbered migrations. A step is never edited once it was released: a
 * change is a new step. Each runs in one transaction together with its number, so a crash leaves
 * the store before it or after it. */
#include "fleet/store/db.h"

/* zone, site and model stand on every object. STRICT keeps types; the checks keep lengths that code
 * relies on. */
#define PLACE                                                                                      \
    "zone TEXT NOT NULL DEFAULT '', site TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT ''"

static const char devices_1[] =
    "CREATE TABLE migration(step INTEGER PRIMARY KEY, program TEXT NOT NULL) STRICT;"

    "CREATE TABLE device(n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE CHECK(length(id)=33),"
    " pseudonym TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, before_quarantine INTEGER NOT NULL,"
    " automatic INTEGER NOT NULL, " PLACE ", name TEXT NOT NULL, kind TEXT NOT NULL,"
    " issuer_class TEXT NOT NULL, source TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " state_ms INTEGER NOT NULL, state_reason TEXT NOT NULL, info BLOB NOT NULL) STRICT;"
    "CREATE INDEX device_waiting ON device(created_ms) WHERE state=1;"
    "CREATE INDEX device_waiting_source ON device(source) WHERE state=1;"
    "CREATE INDEX device_held ON device(zone, state_ms) WHERE state=5 AND automatic=1;"
    "CREATE INDEX device_zone ON device(zone, n);"
    "CREATE INDEX device_state ON device(state, n);"

    /* Members a zone has that are enrolled, active or quarantined. */
    "CREATE TABLE zone_count(zone TEXT PRIMARY KEY, members INTEGER NOT NULL) STRICT, WITHOUT "
    "ROWID;"
    "CREATE TRIGGER device_zone_in AFTER INSERT ON device WHEN NEW.state IN (3,4,5) BEGIN"
    " INSERT INTO zone_count VALUES(NEW.zone,1) ON CONFLICT(zone) DO UPDATE SET members=members+1;"
    " END;"
    "CREATE TRIGGER device_zone_out AFTER UPDATE OF state, zone ON device WHEN OLD.state IN (3,4,5)"
    " BEGIN UPDATE zone_count SET members=members-1 WHERE zone=OLD.zone; END;"
    "CREATE TRIGGER device_zone_new AFTER UPDATE OF state, zone ON device WHEN NEW.state IN (3,4,5)"
    " BEGIN INSERT INTO zone_count VALUES(NEW.zone,1)"
    " ON CONFLICT(zone) DO UPDATE SET members=members+1; END;"

    /* Changed by each evidence, so apart from what seldom changes. */
    "CREATE TABLE trust(device INTEGER PRIMARY KEY REFERENCES device(n) ON DELETE CASCADE,"
    " seq INTEGER NOT NULL, as_of_ms INTEGER NOT NULL, heard_ms INTEGER NOT NULL,"
    " due_ms INTEGER NOT NULL, silent INTEGER NOT NULL, tier INTEGER NOT NULL, reason TEXT NOT "
    "NULL,"
    " verdict INTEGER NOT NULL, ldevid BLOB NOT NULL, state_digest BLOB, boot_log BLOB,"
    " ima_count INTEGER NOT NULL) STRICT;"
    "CREATE INDEX trust_due ON trust(due_ms) WHERE silent=0 AND due_ms>0;"
    "CREATE INDEX trust_silent ON trust(device) WHERE silent=1;"
    "CREATE INDEX trust_tier ON trust(tier, device);"

    /* No foreign key: a key's entry outlives whatever it belonged to. */
    "CREATE TABLE key_index(spki BLOB PRIMARY KEY CHECK(length(spki)=32), device INTEGER NOT NULL,"
    " role INTEGER NOT NULL, tombstone INTEGER NOT NULL, since_ms INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX key_device ON key_index(device);"
    "CREATE INDEX key_buried ON key_index(spki) WHERE tombstone=1;"

    "CREATE TABLE ak(device INTEGER PRIMARY KEY REFERENCES device(n) ON DELETE CASCADE,"
    " public BLOB NOT NULL, binding BLOB NOT NULL, at_ms INTEGER NOT NULL) STRICT;"

    "CREATE TABLE invitation(code BLOB PRIMARY KEY CHECK(length(code)=32), " PLACE ","
    " name TEXT NOT NULL, by TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT "
    "NULL,"
    " used_by INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE vouched(spki BLOB PRIMARY KEY, device INTEGER NOT NULL, verdict INTEGER NOT NULL,"
    " until_ms INTEGER NOT NULL, first INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX vouched_device ON vouched(device);"
    "CREATE INDEX vouched_until ON vouched(until_ms);";

/* How many devices there are of each zone, state, tier and silence: the overview reads nothing
* else. Kept where one of the four changes, which an ordinary heartbeat does not do. */
static const char counts_1[] =
    "CREATE TABLE fleet_count(zone TEXT, state INTEGER, tier INTEGER, silent INTEGER,"
    " members INTEGER NOT NULL, PRIMARY KEY(zone, state, tier, silent)) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER fleet_in AFTER INSERT ON trust BEGIN"
    " INSERT INTO fleet_count SELECT zone, state, NEW.tier, NEW.silent, 1 FROM device"
    " WHERE n=NEW.device ON CONFLICT DO UPDATE SET members=members+1; END;"
    "CREATE TRIGGER fleet_trust AFTER UPDATE OF tier, silent ON trust"
    " WHEN OLD.tier<>NEW.tier OR OLD.silent<>NEW.silent BEGIN"
    " UPDATE fleet_count SET members=members-1 WHERE (zone, state)="
    "(SELECT zone, state FROM device WHERE n=NEW.device) AND tier=OLD.tier AND silent=OLD.silent;"
    " INSERT INTO fleet_count SELECT zone, state, NEW.tier, NEW.silent, 1 FROM device"
    " WHERE n=NEW.device ON CONFLICT DO UPDATE SET members=members+1; END;"
    "CREATE TRIGGER fleet_state AFTER UPDATE OF state, zone ON device"
    " WHEN OLD.state<>NEW.state OR OLD.zone<>NEW.zone BEGIN"
    " UPDATE fleet_count SET members=members-1 WHERE zone=OLD.zone AND state=OLD.state"
    " AND (tier, silent)=(SELECT tier, silent FROM trust WHERE device=NEW.n);"
    " INSERT INTO fleet_count SELECT NEW.zone, NEW.state, tier, silent, 1 FROM trust"
    " WHERE device=NEW.n ON CONFLICT DO UPDATE SET members=members+1; END;"
    "CREATE TRIGGER fleet_out BEFORE DELETE ON device BEGIN"
    " UPDATE fleet_count SET members=members-1 WHERE zone=OLD.zone AND state=OLD.state"
    " AND (tier, silent)=(SELECT tier, silent FROM trust WHERE device=OLD.n); END;";

static const char proofs_1[] =
    "CREATE TABLE certificate(n INTEGER PRIMARY KEY, serial BLOB NOT NULL UNIQUE,"
    " device INTEGER NOT NULL, spki BLOB NOT NULL, profile TEXT NOT NULL, " PLACE ","
    " not_before_ms INTEGER NOT NULL, not_after_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " revoked_ms INTEGER NOT NULL, revoked_reason INTEGER NOT NULL, verdict INTEGER NOT NULL,"
    " der BLOB NOT NULL) STRICT;"
    "CREATE INDEX certificate_device ON certificate(device, n);"
    "CREATE INDEX certificate_revoked ON certificate(serial) WHERE state=2;"
    "CREATE TABLE crl(issuer TEXT PRIMARY KEY, number INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " der BLOB NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE verdict(event INTEGER PRIMARY KEY, device INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " as_of_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, tier INTEGER NOT NULL, " PLACE ","
    " reason TEXT NOT NULL, evidence BLOB NOT NULL, policy BLOB NOT NULL, refs BLOB NOT NULL,"
    " state BLOB NOT NULL, nonce BLOB NOT NULL, binding BLOB NOT NULL, ear BLOB NOT NULL,"
    " appraisal BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX verdict_device ON verdict(device, seq);"

    "CREATE TABLE blob(n INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE CHECK(length(digest)=32),"
    " kind INTEGER NOT NULL, used_ms INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;"
    "CREATE INDEX blob_age ON blob(kind, used_ms);"

    "CREATE TABLE release(id BLOB PRIMARY KEY CHECK(length(id)=32), product TEXT NOT NULL,"
    " version TEXT NOT NULL, " PLACE ", counter INTEGER NOT NULL, imported_ms INTEGER NOT NULL,"
    " by TEXT NOT NULL, manifest BLOB NOT NULL, corim BLOB NOT NULL) STRICT;"
    "CREATE TABLE maker(product TEXT PRIMARY KEY, spki BLOB NOT NULL, by TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE acceptance(release BLOB NOT NULL REFERENCES release(id), zone TEXT NOT NULL,"
    " state INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY(release, zone)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX acceptance_in_force ON acceptance(release, zone) WHERE state<>0;"

    "CREATE TABLE policy(version INTEGER PRIMARY KEY, digest BLOB NOT NULL, zone TEXT NOT NULL,"
    " by TEXT NOT NULL, at_ms INTEGER NOT NULL, document BLOB NOT NULL) STRICT;"
    "CREATE INDEX policy_digest ON policy(digest);"
    "CREATE TABLE baseline(model TEXT NOT NULL, digest BLOB NOT NULL, seen_ms INTEGER NOT NULL,"
    " accepted_by TEXT NOT NULL, accepted_ms INTEGER NOT NULL, PRIMARY KEY(model, digest))"
    " STRICT, WITHOUT ROWID;";

static const char log_1[] =
    "CREATE TABLE event(number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, type INTEGER NOT NULL,"
    " severity INTEGER NOT NULL, device INTEGER, " PLACE ","
    " digest BLOB NOT NULL CHECK(length(digest)=32), body BLOB) STRICT;"
    /* A device's verdicts are found by verdict_device; they would be most of this index. */
    "CREATE INDEX event_device ON event(device, number) WHERE device IS NOT NULL AND type<>32;"
    "CREATE TABLE source(name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tree_hash(n INTEGER PRIMARY KEY, hash BLOB NOT NULL CHECK(length(hash)=32)) "
    "STRICT;"
    "CREATE TABLE tree(one INTEGER PRIMARY KEY CHECK(one=1), size INTEGER NOT NULL,"
    " signed_size INTEGER NOT NULL, tiled_size INTEGER NOT NULL, checkpoint TEXT NOT NULL) STRICT;"
    "INSERT INTO tree VALUES(1,0,0,0,'');"

    "CREATE TABLE operator(n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL,"
    " zone TEXT NOT NULL, spki BLOB UNIQUE, disabled INTEGER NOT NULL, created_ms INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE session(token BLOB PRIMARY KEY, operator INTEGER NOT NULL REFERENCES operator(n),"
    " created_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX session_expires ON session(expires_ms);"
    "CREATE INDEX session_operator ON session(operator);"
    "CREATE TABLE code(code BLOB PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL,"
    " zone TEXT NOT NULL,"
    " by TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* In parts, each within what a C string must be able to hold; NULL ends. */
static const char *const step_1[] = {devices_1, counts_1, proofs_1, log_1, NULL};

/* Values that devices gave into escrow: each is kept as long as its device. */
static const char escrow_2[] =
    "CREATE TABLE escrow(n INTEGER PRIMARY KEY, device INTEGER NOT NULL REFERENCES device(n) ON DELETE CASCADE,"
    " state INTEGER NOT NULL, at_ms INTEGER NOT NULL, state_ms INTEGER NOT NULL,"
    " digest BLOB NOT NULL CHECK(length(digest)=32), envelope BLOB NOT NULL CHECK(length(envelope)<=2048)) STRICT;"
    "CREATE UNIQUE INDEX escrow_digest ON escrow(device, digest);"
    "CREATE INDEX escrow_order ON escrow(device, state_ms);";

static const char *const step_2[] = {escrow_2, NULL};

/* A device fills one position at most, and a position has one device at most. */
static const char position_3[] =
    "CREATE TABLE position(n INTEGER PRIMARY KEY, tag TEXT NOT NULL UNIQUE, " PLACE ","
    " name TEXT NOT NULL, by TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " device INTEGER UNIQUE REFERENCES device(n), since_ms INTEGER NOT NULL) STRICT;"
    "ALTER TABLE invitation ADD COLUMN position INTEGER NOT NULL DEFAULT 0;";

static const char *const step_3[] = {position_3, NULL};

/* Acts of two people. Decided ones stay: they say who did what with whom. */
static const char action_4[] =
    "CREATE TABLE action(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE CHECK(length(id)=16), verb TEXT NOT NULL,"
    " device INTEGER NOT NULL, successor INTEGER NOT NULL, before BLOB NOT NULL CHECK(length(before)=32),"
    " digest BLOB NOT NULL CHECK(length(digest)=32), reason TEXT NOT NULL, author INTEGER NOT NULL,"
    " author_name TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " decided_by TEXT NOT NULL, decided_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX action_open ON action(expires_ms) WHERE state=1;";

static const char *const step_4[] = {action_4, NULL};

/* Whose devices are, and which retired one may come back once. A chain is known before its device comes. */
static const char ownership_5[] =
    "CREATE TABLE owned(id BLOB PRIMARY KEY CHECK(length(id)=33), phase INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " head BLOB NOT NULL CHECK(length(head)=32), " PLACE ", name TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " chain BLOB NOT NULL CHECK(length(chain)<=36864), erasure BLOB NOT NULL CHECK(length(erasure)<=4096))"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE permit(device INTEGER PRIMARY KEY REFERENCES device(n) ON DELETE CASCADE, by TEXT NOT NULL,"
    " expires_ms INTEGER NOT NULL) STRICT;";

static const char *const step_5[] = {ownership_5, NULL};

/* Certificates since a moment are counted, against what the signer recorded. */
static const char since_6[] = "CREATE INDEX certificate_since ON certificate(not_before_ms);";

static const char *const step_6[] = {since_6, NULL};

/* What makers announced. A unit's place is its batch's, with the model that its maker wrote; no two units share a key. */
static const char expected_7[] =
    "CREATE TABLE announcer(kid BLOB PRIMARY KEY CHECK(length(kid)=32), name TEXT NOT NULL UNIQUE,"
    " by TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE manifest(n INTEGER PRIMARY KEY, maker BLOB NOT NULL REFERENCES announcer(kid), order_name TEXT NOT NULL,"
    " batch INTEGER NOT NULL, digest BLOB NOT NULL CHECK(length(digest)=32), " PLACE ", units INTEGER NOT NULL,"
    " by TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX manifest_batch ON manifest(maker, order_name, batch);"
    "CREATE TABLE expected(n INTEGER PRIMARY KEY, manifest INTEGER NOT NULL REFERENCES manifest(n),"
    " id BLOB NOT NULL UNIQUE CHECK(length(id)=33), serial TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL,"
    " keys INTEGER NOT NULL, idevid BLOB NOT NULL, device INTEGER NOT NULL) STRICT;"
    "CREATE TABLE expected_key(spki BLOB PRIMARY KEY CHECK(length(spki)=32),"
    " expected INTEGER NOT NULL REFERENCES expected(n), kind INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

static const char *const step_7[] = {expected_7, NULL};

/* Certificates of applications: which services there are, and for which one a key and a certificate serve. */
static const char services_8[] =
    "CREATE TABLE service(name TEXT PRIMARY KEY, profile TEXT NOT NULL, zone TEXT NOT NULL, by TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "ALTER TABLE key_index ADD COLUMN service TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE certificate ADD COLUMN service TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX certificate_ends ON certificate(not_after_ms) WHERE state=1;";

static const char *const step_8[] = {services_8, NULL};

/* Ends of histories that were given up: the event that says so, and which heads are void by it. */
static const char break_9[] =
    "CREATE TABLE log_break(event INTEGER PRIMARY KEY, kept INTEGER NOT NULL, lost INTEGER NOT NULL) STRICT;";

static const char *const step_9[] = {break_9, NULL};

const char *const *const bp_migration[BP_STORE_SCHEMA] = {step_1, step_2, step_3, step_4, step_5,
                                                              step_6, step_7, step_8, step_9};
