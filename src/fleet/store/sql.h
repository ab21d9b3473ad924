/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/store/sql - every statement of the keeper. None may scan: a test asks the database for the
 * plan of each. */
#ifndef BP_FLEET_STORE_SQL_H
#define BP_FLEET_STORE_SQL_H

#define BP_FROM_DEVICE                                                                             \
    "SELECT n, id, pseudonym, state, before_quarantine, automatic, zone, site, model, name, kind," \
    " issuer_class, source, created_ms, state_ms, state_reason FROM device "
#define BP_FROM_KEY "SELECT spki, device, role, tombstone, since_ms, service FROM key_index "
#define BP_FROM_CERT                                                                               \
    "SELECT serial, device, spki, profile, zone, site, model, not_before_ms, not_after_ms, state," \
    " revoked_ms, revoked_reason, verdict, service, der FROM certificate "
#define BP_FROM_ESCROW "SELECT n, state, at_ms, state_ms, digest, envelope FROM escrow "
#define BP_FROM_ACTION                                                                            \
    "SELECT n, id, verb, device, successor, before, digest, reason, author, author_name, created_ms,"  \
    " expires_ms, state, decided_by, decided_ms FROM action "
#define BP_FROM_POSITION                                                                          \
    "SELECT n, tag, zone, site, model, name, by, created_ms, ifnull(device,0), since_ms FROM position "
#define BP_FROM_OPERATOR "SELECT n, name, role, zone, spki, disabled, created_ms FROM operator "
#define BP_FROM_RELEASE                                                                            \
    "SELECT r.id, r.product, r.version, r.zone, r.site, r.model, r.counter, r.imported_ms, r.by,"  \
    " r.manifest, r.corim"
#define BP_FROM_POLICY "SELECT version, digest, zone, by, at_ms, document FROM policy "

#define BP_ITEM                                                                                    \
    "d.n, d.id, d.pseudonym, d.state, d.before_quarantine, d.automatic, d.zone, d.site, d.model,"  \
    " d.name, d.kind, d.issuer_class, d.source, d.created_ms, d.state_ms, d.state_reason, t.seq,"  \
    " t.as_of_ms, t.heard_ms, t.due_ms, t.silent, t.tier, t.reason, t.verdict, t.ima_count,"       \
    " p.tag"
#define BP_ITEM_POSITION " LEFT JOIN position p ON p.device=d.n "
#define BP_FROM_ITEM "SELECT " BP_ITEM " FROM device d CROSS JOIN trust t ON t.device=d.n" BP_ITEM_POSITION
#define BP_FROM_TRUST "SELECT " BP_ITEM " FROM trust t CROSS JOIN device d ON d.n=t.device" BP_ITEM_POSITION
#define BP_FROM_EVENT                                                                              \
    "SELECT e.number, e.at_ms, e.type, e.severity, e.zone, e.digest, e.body, d.id, d.name"         \
    " FROM event e LEFT JOIN device d ON d.n=e.device "

#define BP_SQL_LIST(X)                                                                             \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(SNAPSHOT, "BEGIN DEFERRED")                                                                  \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(ACT, "SAVEPOINT act")                                                                        \
    X(ACT_KEEP, "RELEASE act")                                                                     \
    X(ACT_BACK, "ROLLBACK TO act")                                                                 \
    X(DEVICE_ADD, "INSERT INTO device(id, pseudonym, state, before_quarantine, automatic, zone,"   \
                  " site, model, name, kind, issuer_class, source, created_ms, state_ms,"          \
                  " state_reason, info) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                  \
    X(TRUST_ADD, "INSERT INTO trust VALUES(?,0,0,0,0,0,0,'',0,x'',NULL,NULL,0)")                   \
    X(DEVICE_BY_ID, BP_FROM_DEVICE "WHERE id=?")                                                   \
    X(DEVICE_BY_N, BP_FROM_DEVICE "WHERE n=?")                                                     \
    X(DEVICE_BY_PSEUDONYM, BP_FROM_DEVICE "WHERE pseudonym=?")                                     \
    X(DEVICE_SET, "UPDATE device SET state=?, before_quarantine=?, automatic=?, zone=?, site=?,"   \
                  " model=?, name=?, issuer_class=?, state_ms=?, state_reason=? WHERE n=?")        \
    X(DEVICE_REMOVE, "DELETE FROM device WHERE n=? AND state=1")                                   \
    X(DEVICE_INFO, "SELECT info FROM device WHERE n=?")                                            \
    X(TRUST, "SELECT seq, as_of_ms, heard_ms, due_ms, silent, tier, reason, verdict, ldevid,"      \
             " state_digest, boot_log, ima_count FROM trust WHERE device=?")                       \
    X(TRUST_SET, "UPDATE trust SET seq=?, as_of_ms=?, heard_ms=?, due_ms=?, silent=?, tier=?,"     \
                 " reason=?, verdict=?, ldevid=?, state_digest=?, boot_log=?, ima_count=?"         \
                 " WHERE device=?")                                                                \
    X(OVERDUE, "SELECT device FROM trust WHERE silent=0 AND due_ms>0 AND due_ms<?"                 \
               " ORDER BY due_ms LIMIT 1")                                                         \
    X(WAITING_BEFORE, "SELECT n FROM device WHERE state=1 AND created_ms<?"                        \
                      " ORDER BY created_ms LIMIT 1")                                              \
    X(WAITING_COUNT, "SELECT count(*) FROM (SELECT 1 FROM device WHERE state=1 AND created_ms>0"   \
                     " LIMIT ?)")                                                                  \
    X(WAITING_SOURCE, "SELECT count(*) FROM (SELECT 1 FROM device WHERE state=1 AND source=?"      \
                      " LIMIT ?)")                                                                 \
    X(ZONE_COUNT, "SELECT members FROM zone_count WHERE zone=?")                                   \
    X(HELD_COUNT, "SELECT count(*) FROM (SELECT 1 FROM device WHERE state=5 AND automatic=1"       \
                  " AND zone=? AND state_ms>=? LIMIT ?)")                                          \
    X(KEY_ADD, "INSERT INTO key_index(spki, device, role, tombstone, since_ms, service)"           \
               " VALUES(?,?,?,?,?,?)")                                                             \
    X(KEY, BP_FROM_KEY "WHERE spki=?")                                                             \
    X(KEY_BURY, "UPDATE key_index SET tombstone=1 WHERE device=?")                                 \
    X(KEY_UNBURY, "UPDATE key_index SET tombstone=0 WHERE device=? AND role=1")                    \
    X(KEY_FORGET, "DELETE FROM key_index WHERE device=? AND tombstone=0")                          \
    X(KEY_BURIED, "SELECT spki FROM key_index INDEXED BY key_buried WHERE tombstone=1 AND spki>?"  \
                  " ORDER BY spki LIMIT ?")                                                        \
    X(KEY_OF, BP_FROM_KEY "WHERE device=? LIMIT ?")                                                \
    X(AK_SET, "INSERT INTO ak VALUES(?,?,?,?) ON CONFLICT(device) DO UPDATE SET"                   \
              " public=excluded.public, binding=excluded.binding, at_ms=excluded.at_ms")           \
    X(AK, "SELECT public, binding FROM ak WHERE device=?")                                         \
    X(ESCROW_ADD, "INSERT INTO escrow(device, state, at_ms, state_ms, digest, envelope)"           \
                  " VALUES(?,?,?,?,?,?)")                                                          \
    X(ESCROW_SET, "UPDATE escrow SET state=?, state_ms=? WHERE n=?")                               \
    X(ESCROW_OF, BP_FROM_ESCROW "WHERE device=? AND digest=?")                                     \
    X(ESCROW_NEWEST, BP_FROM_ESCROW "INDEXED BY escrow_order WHERE device=?"                       \
                                    " ORDER BY state_ms DESC, n DESC LIMIT 1 OFFSET ?")            \
    X(ESCROW_COUNT, "SELECT count(*) FROM (SELECT 1 FROM escrow WHERE device=? LIMIT ?)")          \
    X(OWNED_SET, "INSERT OR REPLACE INTO owned(id, phase, epoch, head, zone, site, model, name, by,"    \
                 " at_ms, chain, erasure) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)")                         \
    X(OWNED, "SELECT id, phase, epoch, head, zone, site, model, name, by, at_ms, chain, erasure"   \
             " FROM owned WHERE id=?")                                                             \
    X(PERMIT_SET, "INSERT OR REPLACE INTO permit(device, by, expires_ms) VALUES(?,?,?)")           \
    X(PERMIT, "SELECT device, by, expires_ms FROM permit WHERE device=?")                          \
    X(PERMIT_SPEND, "DELETE FROM permit WHERE device=?")                                           \
    X(INVITATION_ADD, "INSERT INTO invitation(code, zone, site, model, name, by, created_ms,"      \
                      " expires_ms, used_by, position) VALUES(?,?,?,?,?,?,?,?,0,?)")               \
    X(INVITATION, "SELECT code, zone, site, model, name, by, created_ms, expires_ms, used_by,"     \
                  " position FROM invitation WHERE code=?")                                                 \
    X(INVITATION_USE, "UPDATE invitation SET used_by=? WHERE code=? AND used_by=0")                \
    X(POSITION_ADD, "INSERT INTO position(tag, zone, site, model, name, by, created_ms, since_ms)" \
                    " VALUES(?,?,?,?,?,?,?,0)")                                                    \
    X(POSITION, BP_FROM_POSITION "WHERE n=?")                                                      \
    X(POSITION_BY_TAG, BP_FROM_POSITION "WHERE tag=?")                                             \
    X(POSITION_OF, BP_FROM_POSITION "WHERE device=?")                                              \
    X(POSITION_FILL, "UPDATE position SET device=?, since_ms=? WHERE n=?")                         \
    X(LIST_POSITIONS, BP_FROM_POSITION "WHERE n>? ORDER BY n LIMIT ?")                             \
    X(ACTION_ADD, "INSERT INTO action(id, verb, device, successor, before, digest, reason, author,"  \
                  " author_name, created_ms, expires_ms, state, decided_by, decided_ms)"           \
                  " VALUES(?,?,?,?,?,?,?,?,?,?,?,1,'',0)")                                         \
    X(ACTION, BP_FROM_ACTION "WHERE id=?")                                                         \
    X(ACTION_DECIDE, "UPDATE action SET state=?, decided_by=?, decided_ms=? WHERE n=? AND state=1") \
    X(ACTION_OPEN, "SELECT count(*) FROM (SELECT 1 FROM action WHERE state=1 AND expires_ms>?"     \
                   " LIMIT ?)")                                                                    \
    X(LIST_ACTIONS, BP_FROM_ACTION "WHERE n<? ORDER BY n DESC LIMIT ?")                            \
    X(ANNOUNCER_ADD, "INSERT INTO announcer VALUES(?,?,?,?)")                                      \
    X(ANNOUNCER, "SELECT kid, name, by, at_ms FROM announcer WHERE kid=?")                         \
    X(ANNOUNCER_NAMED, "SELECT kid, name, by, at_ms FROM announcer WHERE name=?")                  \
    X(MANIFEST_ADD, "INSERT INTO manifest(maker, order_name, batch, digest, zone, site, model,"    \
                   " units, by, at_ms) VALUES(?,?,?,?,?,?,?,?,?,?)")                               \
    X(MANIFEST_LAST, "SELECT batch FROM manifest WHERE maker=? AND order_name=?"                   \
                    " ORDER BY batch DESC LIMIT 1")                                                \
    X(EXPECTED_ADD, "INSERT INTO expected(manifest, id, serial, model, kind, keys, idevid,"        \
                   " device) VALUES(?,?,?,?,?,?,?,0)")                                             \
    X(EXPECTED_KEY_ADD, "INSERT INTO expected_key VALUES(?,?,?)")                                  \
    X(EXPECTED_BY_KEY, "SELECT e.n, e.manifest, e.id, e.serial, e.kind, e.keys, e.device, m.zone," \
                      " m.site, e.model, m.order_name, m.batch FROM expected_key k CROSS JOIN expected e" \
                      " ON e.n=k.expected CROSS JOIN manifest m ON m.n=e.manifest WHERE k.spki=?") \
    X(EXPECTED_COME, "UPDATE expected SET device=? WHERE n=?")                                     \
    X(VOUCH, "INSERT INTO vouched VALUES(?,?,?,?,?) ON CONFLICT(spki) DO UPDATE SET"               \
             " verdict=excluded.verdict, until_ms=excluded.until_ms, first=excluded.first"         \
             " WHERE device=excluded.device")                                                      \
    X(VOUCHED, "SELECT spki, device, verdict, until_ms, first FROM vouched WHERE spki=?")          \
    X(VOUCHED_DROP, "DELETE FROM vouched WHERE device=?")                                          \
    X(VOUCHED_EXPIRE, "DELETE FROM vouched WHERE until_ms<?")                                      \
    X(CERT_ADD, "INSERT INTO certificate(serial, device, spki, profile, zone, site, model,"        \
                " not_before_ms, not_after_ms, state, revoked_ms, revoked_reason, verdict,"        \
                " service, der) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                            \
    X(CERT, BP_FROM_CERT "WHERE serial=?")                                                         \
    X(CERT_OF, BP_FROM_CERT "WHERE device=? AND service='' ORDER BY n DESC LIMIT 1")               \
    X(CERTS_OF, BP_FROM_CERT "WHERE device=? ORDER BY n DESC LIMIT ?")                             \
    X(CERT_ENDING, "SELECT count(*) FROM (SELECT 1 FROM certificate c INDEXED BY certificate_ends"  \
                   " WHERE c.state=1 AND c.not_after_ms>? AND c.not_after_ms<=?"                    \
                   " AND NOT EXISTS (SELECT 1 FROM certificate f INDEXED BY certificate_device"     \
                   " WHERE f.device=c.device AND f.n>c.n AND f.service=c.service)"                  \
                   " AND EXISTS (SELECT 1 FROM trust t WHERE t.device=c.device AND t.due_ms<>0"     \
                   " AND (t.silent=1 OR t.due_ms>c.not_after_ms)) LIMIT ?)")                        \
    X(CERT_HOLD, "UPDATE certificate SET state=2, revoked_ms=?, revoked_reason=6"                  \
                 " WHERE device=? AND state=1 AND service<>''")                                    \
    X(CERT_UNHOLD, "UPDATE certificate SET state=1, revoked_ms=0, revoked_reason=0"                \
                   " WHERE device=? AND state=2 AND revoked_reason=6")                             \
    X(SERVICE_ADD, "INSERT INTO service(name, profile, zone, by, at_ms) VALUES(?,?,?,?,?)")        \
    X(SERVICE, "SELECT name, profile, zone, by, at_ms FROM service WHERE name=?")                  \
    X(SERVICE_REMOVE, "DELETE FROM service WHERE name=?")                                          \
    X(SERVICES, "SELECT name, profile, zone, by, at_ms FROM service WHERE name>?"                  \
                " ORDER BY name LIMIT ?")                                                          \
    X(CERT_REVOKE_ALL, "UPDATE certificate SET state=2, revoked_ms=?, revoked_reason=?"            \
                       " WHERE device=? AND state=1")                                              \
    X(CERT_COUNT, "SELECT count(*) FROM certificate WHERE not_before_ms>=?")                       \
    X(CERT_REVOKED, BP_FROM_CERT "INDEXED BY certificate_revoked WHERE state=2 AND serial>?"       \
                                 " AND not_after_ms>? ORDER BY serial LIMIT ?")                    \
    X(CRL_SET, "INSERT INTO crl VALUES(?,?,?,?) ON CONFLICT(issuer) DO UPDATE SET"                 \
               " number=excluded.number, at_ms=excluded.at_ms, der=excluded.der")                  \
    X(CRL, "SELECT number, at_ms, der FROM crl WHERE issuer=?")                                    \
    X(VERDICT_ADD, "INSERT INTO verdict(event, device, seq, as_of_ms, at_ms, tier, zone, site,"    \
                   " model, reason, evidence, policy, refs, state, nonce, binding, ear,"           \
                   " appraisal) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                      \
    X(VERDICT, "SELECT event, device, seq, as_of_ms, at_ms, tier, zone, site, model, reason,"      \
               " evidence, policy, refs, state, nonce, binding, ear, appraisal FROM verdict"       \
               " WHERE event=?")                                                                   \
    X(BLOB_PUT, "INSERT INTO blob(digest, kind, used_ms, bytes) VALUES(?,?,?,?)"                   \
                " ON CONFLICT(digest) DO UPDATE SET used_ms=excluded.used_ms")                     \
    X(BLOB, "SELECT bytes FROM blob WHERE digest=?")                                               \
    X(BLOB_EXPIRE, "DELETE FROM blob WHERE n IN (SELECT n FROM blob WHERE kind=? AND used_ms<?"    \
                   " ORDER BY used_ms LIMIT ?)")                                                   \
    X(RELEASE_ADD, "INSERT INTO release(id, product, version, zone, site, model, counter,"         \
                   " imported_ms, by, manifest, corim) VALUES(?,?,?,?,?,?,?,?,?,?,?)")             \
    X(RELEASE, BP_FROM_RELEASE " FROM release r WHERE id=?")                                       \
    X(MAKER_ADD, "INSERT INTO maker VALUES(?,?,?,?)")                                              \
    X(MAKER, "SELECT spki FROM maker WHERE product=?")                                             \
    X(ACCEPTANCE_SET, "INSERT INTO acceptance VALUES(?,?,?,?,?,?) ON CONFLICT(release, zone)"      \
                      " DO UPDATE SET state=excluded.state, by=excluded.by,"                       \
                      " reason=excluded.reason, at_ms=excluded.at_ms")                             \
    X(ACCEPTANCE_NEXT, BP_FROM_RELEASE ", a.zone, a.state FROM acceptance a"                       \
                                       " INDEXED BY acceptance_in_force CROSS JOIN release r"      \
                                       " ON r.id=a.release WHERE a.state<>0 AND"                   \
                                       " (a.release, a.zone) > (?, ?)"                             \
                                       " ORDER BY a.release, a.zone LIMIT 1")                      \
    X(POLICY_ADD, "INSERT INTO policy(version, digest, zone, by, at_ms, document)"                 \
                  " VALUES(?,?,?,?,?,?)")                                                          \
    X(POLICY_NEWEST, BP_FROM_POLICY "WHERE version>0 ORDER BY version DESC LIMIT 1")               \
    X(POLICY_BY_DIGEST, BP_FROM_POLICY "WHERE digest=? LIMIT 1")                                   \
    X(BASELINE_SEE, "INSERT INTO baseline VALUES(?,?,?,'',0) ON CONFLICT DO NOTHING")              \
    X(BASELINE_ACCEPT, "UPDATE baseline SET accepted_by=?, accepted_ms=?"                          \
                       " WHERE model=? AND digest=?")                                              \
    X(BASELINE, "SELECT accepted_ms FROM baseline WHERE model=? AND digest=?")                     \
    X(EVENT_ADD, "INSERT INTO event(number, at_ms, type, severity, device, zone, site, model,"     \
                 " digest, body) VALUES(?,?,?,?,?,?,?,?,?,?)")                                     \
    X(EVENT, "SELECT body, digest FROM event WHERE number=?")                                      \
    X(EVENT_ERASE, "UPDATE event SET body=NULL WHERE number=?")                                    \
    X(SOURCE_NEXT, "INSERT INTO source VALUES(?,1) ON CONFLICT(name)"                              \
                   " DO UPDATE SET next=next+1 RETURNING next-1")                                  \
    X(HASH_ADD, "INSERT INTO tree_hash VALUES(?,?)")                                               \
    X(HASH, "SELECT hash FROM tree_hash WHERE n=?")                                                \
    X(TREE, "SELECT size, signed_size, tiled_size, checkpoint FROM tree WHERE one=1")              \
    X(TREE_GROW, "UPDATE tree SET size=? WHERE one=1")                                             \
    X(TREE_SIGNED, "UPDATE tree SET signed_size=?, checkpoint=? WHERE one=1")                      \
    X(TREE_TILED, "UPDATE tree SET tiled_size=? WHERE one=1")                                      \
    X(GAP_ADD, "INSERT INTO log_break VALUES(?,?,?)")                                              \
    X(GAP, "SELECT event, kept, lost FROM log_break WHERE event>0 AND kept<? AND lost>=?"          \
           " ORDER BY event DESC LIMIT 1")                                                         \
    X(OPERATOR_ADD, "INSERT INTO operator(name, role, zone, spki, disabled, created_ms)"           \
                    " VALUES(?,?,?,?,?,?)")                                                        \
    X(OPERATOR, BP_FROM_OPERATOR "WHERE n=?")                                                      \
    X(OPERATOR_BY_NAME, BP_FROM_OPERATOR "WHERE name=?")                                           \
    X(OPERATOR_BY_SPKI, BP_FROM_OPERATOR "WHERE spki=?")                                           \
    X(OPERATOR_SET, "UPDATE operator SET role=?, zone=?, spki=?, disabled=? WHERE n=?")            \
    X(SESSION_ADD, "INSERT INTO session VALUES(?,?,?,?,?)")                                        \
    X(SESSION, "SELECT token, operator, created_ms, used_ms, expires_ms FROM session"              \
               " WHERE token=?")                                                                   \
    X(SESSION_USED, "UPDATE session SET used_ms=? WHERE token=?")                                  \
    X(SESSION_END, "DELETE FROM session WHERE token=?")                                            \
    X(SESSION_EXPIRE, "DELETE FROM session WHERE expires_ms<?")                                    \
    X(CODE_ADD, "INSERT INTO code VALUES(?,?,?,?,?,?)")                                            \
    X(CODE_TAKE, "DELETE FROM code WHERE code=? RETURNING code, role, name, zone, by, expires_ms") \
    X(ACCEPTANCE, "SELECT state FROM acceptance WHERE release=? AND zone=?")                       \
    X(LIST_ONE, BP_FROM_ITEM "WHERE d.id=?")                                                       \
    X(LIST_ALL, BP_FROM_ITEM "WHERE d.n>? ORDER BY d.n")                                           \
    X(LIST_ZONE, BP_FROM_ITEM "WHERE d.zone=? AND d.n>? ORDER BY d.n")                             \
    X(LIST_STATE, BP_FROM_ITEM "WHERE d.state=? AND d.n>? ORDER BY d.n")                           \
    X(LIST_ID, BP_FROM_ITEM "WHERE d.id>? AND d.id<=? ORDER BY d.id")                              \
    X(LIST_TIER, BP_FROM_TRUST "WHERE t.tier=? AND t.device>? ORDER BY t.device")                  \
    X(LIST_SILENT, BP_FROM_TRUST "WHERE t.silent=1 AND t.device>? ORDER BY t.device")              \
    X(LIST_COUNTS, "SELECT zone, state, tier, silent, members FROM fleet_count WHERE zone>=''"     \
                   " ORDER BY zone, state, tier, silent")                                          \
    X(LIST_VERDICTS, "SELECT event, seq, as_of_ms, at_ms, tier, zone, site, model, reason,"        \
                     " evidence, policy, refs FROM verdict WHERE device=? AND seq<?"               \
                     " ORDER BY seq DESC LIMIT ?")                                                 \
    X(LIST_EVENT, BP_FROM_EVENT "WHERE e.number=?")                                                \
    X(LIST_EVENTS, BP_FROM_EVENT "WHERE e.number<? ORDER BY e.number DESC")                        \
    X(LIST_EVENTS_UP, BP_FROM_EVENT "WHERE e.number>? ORDER BY e.number")                          \
    X(LIST_EVENTS_OF, BP_FROM_EVENT "WHERE e.device=? AND e.type<>32 AND e.number<?"               \
                                    " ORDER BY e.number DESC")                                     \
    X(LIST_EVENTS_OF_UP, BP_FROM_EVENT "WHERE e.device=? AND e.type<>32 AND e.number>?"            \
                                       " ORDER BY e.number")                                       \
    X(LIST_RELEASES, "SELECT r.rowid, r.id, r.product, r.version, r.zone, r.site, r.model,"        \
                     " r.counter, r.imported_ms, r.by, r.manifest FROM release r"                  \
                     " WHERE r.rowid<? ORDER BY r.rowid DESC LIMIT ?")                             \
    X(LIST_ACCEPTANCES, "SELECT zone, state, by, reason, at_ms FROM acceptance WHERE release=?"    \
                        " ORDER BY zone")                                                          \
    X(SETTING, "SELECT value FROM setting WHERE name=?")                                           \
    X(SETTING_SET, "INSERT INTO setting VALUES(?,?) ON CONFLICT(name)"                             \
                   " DO UPDATE SET value=excluded.value")

#endif
