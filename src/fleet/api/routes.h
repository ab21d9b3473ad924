/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/api/routes - every operation of the operators' API, one row each. The dispatcher refuses what
 * has no row; docs/protocol/openapi.json is generated from here.
 *
 * Columns: ID, method, path (a part in braces takes any one segment, {path} the rest), role that is
 * needed, scope (what it touches), step-up (whether a fresh proof of the person is asked for; none
 * yet), event that a success writes (bare name of codec/event, 0: none), which process answers, media
 * type of the body, longest body, summary. */
#ifndef BP_FLEET_API_ROUTES_H
#define BP_FLEET_API_ROUTES_H

#define BP_ROUTE_JSON    "application/json"
#define BP_ROUTE_COSE    "application/cose"
#define BP_ROUTE_YAML    "application/yaml" /* JSON is its subset and taken too */
#define BP_ROUTE_NOTHING ""
#define BP_ROUTE_BODY    (64u << 10)
#define BP_ROUTE_RELEASE (1u << 20)

#define BP_API_ROUTES(X)                                                                           \
    X(SESSION_NEW, "POST", "/session", NONE, "session", NO, SIGNED_IN, KEEPER, BP_ROUTE_JSON,        \
      BP_ROUTE_BODY, "Sign in with a one-time code")                                                 \
    X(SESSION, "GET", "/session", VIEWER, "session", NO, NONE, KEEPER, BP_ROUTE_NOTHING, 0,          \
      "The present session; keeps it from idling out")                                             \
    X(SESSION_END, "DELETE", "/session", VIEWER, "session", NO, SIGNED_OUT, KEEPER,                \
      BP_ROUTE_NOTHING, 0, "Sign out")                                                               \
    X(OPERATOR_NEW, "POST", "/operators", NONE, "operators", NO, OPERATOR_CERTIFICATE, KEEPER,     \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "An operator's certificate for a one-time code")                   \
    X(CODE_NEW, "POST", "/codes", ADMIN, "operators", NO, CODE_MADE, KEEPER, BP_ROUTE_JSON,          \
      BP_ROUTE_BODY, "Make a one-time sign-in code")                                                 \
    X(OVERVIEW, "GET", "/overview", VIEWER, "fleet", NO, NONE, READER, BP_ROUTE_NOTHING, 0,          \
      "Counts and facts of the server")                                                            \
    X(DEVICES, "GET", "/devices", VIEWER, "devices", NO, NONE, READER, BP_ROUTE_NOTHING, 0,          \
      "List devices")                                                                              \
    X(DEVICE, "GET", "/devices/{id}", VIEWER, "devices", NO, NONE, READER, BP_ROUTE_NOTHING, 0,      \
      "Everything about one device")                                                               \
    X(VERDICTS, "GET", "/devices/{id}/verdicts", VIEWER, "devices", NO, NONE, READER,              \
      BP_ROUTE_NOTHING, 0, "Verdicts of a device, newest first")                                     \
    X(BUNDLE, "GET", "/devices/{id}/bundle", VIEWER, "devices", NO, NONE, READER, BP_ROUTE_NOTHING,  \
      0, "A verdict with everything that proves it")                                               \
    X(ESCROW, "GET", "/devices/{id}/escrow", ADMIN, "devices", NO, ESCROW_READ, KEEPER,             \
      BP_ROUTE_NOTHING, 0, "The sealed lockout values of a device")                                \
    X(APPROVE, "POST", "/devices/{id}/approve", ADMIN, "devices", NO, DEVICE_CLAIMED, KEEPER,      \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Take a device out of the waiting room")                           \
    X(QUARANTINE, "POST", "/devices/{id}/quarantine", ADMIN, "devices", NO, DEVICE_QUARANTINED,    \
      KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Quarantine a device")                                     \
    X(RELEASE_DEVICE, "POST", "/devices/{id}/release", ADMIN, "devices", NO, DEVICE_RELEASED,      \
      KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Release a device from quarantine")                        \
    X(REVOKE, "POST", "/devices/{id}/revoke", ADMIN, "devices", NO, DEVICE_REVOKED, KEEPER,        \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Revoke a device for good")                                        \
    X(RETIRE, "POST", "/devices/{id}/retire", ADMIN, "devices", NO, DEVICE_RETIRED, KEEPER,        \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Retire a device for good")                                        \
    X(PERMIT, "POST", "/devices/{id}/permit", ADMIN, "devices", NO, RETURN_PERMITTED, KEEPER,      \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Permit one return of a retired device")                           \
    X(DECOMMISSION, "GET", "/devices/{id}/decommission", ADMIN, "devices", NO, DECOMMISSION_READ,  \
      KEEPER, BP_ROUTE_NOTHING, 0, "The certificate of decommissioning of a retired device")       \
    X(OWNERSHIP, "GET", "/ownership/{id}", VIEWER, "devices", NO, NONE, KEEPER, BP_ROUTE_NOTHING,  \
      0, "The chain of ownership of a device")                                                     \
    X(OWNERSHIP_PUT, "POST", "/ownership", ADMIN, "devices", NO, OWNERSHIP_IMPORTED, KEEPER,       \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Import a chain of ownership, or continue one")                    \
    X(INVITE, "POST", "/invitations", ADMIN, "devices", NO, INVITATION_MADE, KEEPER, BP_ROUTE_JSON,  \
      BP_ROUTE_BODY, "Invite a device")                                                              \
    X(MANIFEST_IMPORT, "POST", "/manifests", ADMIN, "devices", NO, MANIFEST_IMPORTED, KEEPER,      \
      BP_ROUTE_COSE, BP_ROUTE_RELEASE, "Import a maker's batch manifest")                          \
    X(POSITIONS, "GET", "/positions", VIEWER, "positions", NO, NONE, READER, BP_ROUTE_NOTHING, 0,      \
      "List positions")                                                                            \
    X(POSITION_NEW, "POST", "/positions", ADMIN, "positions", NO, POSITION_MADE, KEEPER,             \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Make a position")                                               \
    X(POSITION, "GET", "/positions/{tag}", VIEWER, "positions", NO, NONE, READER, BP_ROUTE_NOTHING,  \
      0, "One position")                                                                           \
    X(POSITION_ASSIGN, "POST", "/positions/{tag}/assign", ADMIN, "positions", NO, POSITION_FILLED,   \
      KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Put a device into a position that nobody fills")          \
    X(POSITION_REPLACE, "POST", "/positions/{tag}/replace", ADMIN, "positions", NO, DEVICE_REPLACED, \
      KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Move a position to a spare; the old device retires")      \
    X(SUCCEED, "POST", "/devices/{id}/succeed", ADMIN, "devices", NO, SUCCESSION_PROPOSED, KEEPER,   \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Propose that another device goes on as this one")                 \
    X(ACTIONS, "GET", "/actions", VIEWER, "actions", NO, NONE, READER, BP_ROUTE_NOTHING, 0,            \
      "List acts that need two people")                                                            \
    X(ACTION, "GET", "/actions/{id}", VIEWER, "actions", NO, NONE, READER, BP_ROUTE_NOTHING, 0,        \
      "One act that needs two people")                                                             \
    X(ACTION_APPROVE, "POST", "/actions/{id}/approve", ADMIN, "actions", NO, DEVICE_SUCCEEDED, KEEPER, \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Approve an act of somebody else, which does it")                  \
    X(ACTION_REJECT, "POST", "/actions/{id}/reject", ADMIN, "actions", NO, SUCCESSION_REJECTED,        \
      KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "End an act without doing it")                             \
    X(RELEASES, "GET", "/releases", VIEWER, "releases", NO, NONE, READER, BP_ROUTE_NOTHING, 0,       \
      "List releases")                                                                             \
    X(RELEASE, "GET", "/releases/{id}", VIEWER, "releases", NO, NONE, READER, BP_ROUTE_NOTHING, 0,   \
      "One release")                                                                               \
    X(RELEASE_IMPORT, "POST", "/releases", ADMIN, "releases", NO, RELEASE_IMPORTED, KEEPER,        \
      BP_ROUTE_COSE, BP_ROUTE_RELEASE, "Import a signed release")                                      \
    X(RELEASE_ACCEPT, "POST", "/releases/{id}/accept", ADMIN, "releases", NO, RELEASE_ACCEPTED,    \
      KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Accept a release")                                        \
    X(RELEASE_DEPRECATE, "POST", "/releases/{id}/deprecate", ADMIN, "releases", NO,                \
      RELEASE_DEPRECATED, KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Deprecate a release")                 \
    X(RELEASE_WITHDRAW, "POST", "/releases/{id}/withdraw", ADMIN, "releases", NO,                  \
      RELEASE_WITHDRAWN, KEEPER, BP_ROUTE_JSON, BP_ROUTE_BODY, "Withdraw a release")                   \
    X(POLICY, "GET", "/policy", VIEWER, "policy", NO, NONE, READER, BP_ROUTE_NOTHING, 0,             \
      "The policy in force")                                                                       \
    X(POLICY_PUT, "PUT", "/policy", ADMIN, "policy", NO, POLICY_PUBLISHED, KEEPER, BP_ROUTE_YAML,    \
      BP_ROUTE_BODY, "Publish a policy")                                                             \
    X(POLICY_CHECK, "POST", "/policy/check", ADMIN, "policy", NO, NONE, READER, BP_ROUTE_YAML,       \
      BP_ROUTE_BODY, "What a policy would change, without publishing it")                            \
    X(EVENTS, "GET", "/events", VIEWER, "log", NO, NONE, READER, BP_ROUTE_NOTHING, 0, "List events") \
    X(EVENT, "GET", "/events/{n}", VIEWER, "log", NO, NONE, READER, BP_ROUTE_NOTHING, 0,             \
      "One event")                                                                                 \
    X(PROOF, "GET", "/events/{n}/proof", VIEWER, "log", NO, NONE, READER, BP_ROUTE_NOTHING, 0,       \
      "Proof that an event is in the log")                                                         \
    X(CHECKPOINT, "GET", "/log/checkpoint", VIEWER, "log", NO, NONE, READER, BP_ROUTE_NOTHING, 0,    \
      "The newest signed head")                                                                    \
    X(TILE, "GET", "/log/tile/{level}/{path}", VIEWER, "log", NO, NONE, READER, BP_ROUTE_NOTHING, 0, \
      "A tile of the log")                                                                         \
    X(BROWNFIELD, "GET", "/brownfield", VIEWER, "settings", NO, NONE, READER, BP_ROUTE_NOTHING, 0,   \
      "Whether devices that cannot attest get certificates")                                       \
    X(BROWNFIELD_PUT, "PUT", "/brownfield", ADMIN, "settings", NO, SETTING_CHANGED, KEEPER,        \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Switch certificates for devices that cannot attest")              \
    X(SERVICES, "GET", "/services", VIEWER, "settings", NO, NONE, READER, BP_ROUTE_NOTHING, 0,       \
      "Services that devices may have application certificates for")                               \
    X(SERVICE_NEW, "POST", "/services", ADMIN, "settings", NO, SERVICE_ADDED, KEEPER,              \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Let devices have certificates for a service")                     \
    X(SERVICE_END, "DELETE", "/services/{name}", ADMIN, "settings", NO, SERVICE_REMOVED, KEEPER,   \
      BP_ROUTE_NOTHING, 0, "Issue no more certificates for a service")                               \
    X(OUTAGE, "GET", "/outage-tolerance", VIEWER, "settings", NO, NONE, READER, BP_ROUTE_NOTHING, 0, \
      "How long the site goes on without this server")                                             \
    X(OUTAGE_PUT, "PUT", "/outage-tolerance", ADMIN, "settings", NO, SETTING_CHANGED, KEEPER,      \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Set how long the site goes on without this server")               \
    X(RENEWAL, "GET", "/renewal-window", VIEWER, "settings", NO, NONE, READER, BP_ROUTE_NOTHING, 0,  \
      "In which part of their certificates' life devices renew them")                              \
    X(RENEWAL_PUT, "PUT", "/renewal-window", ADMIN, "settings", NO, SETTING_CHANGED, KEEPER,       \
      BP_ROUTE_JSON, BP_ROUTE_BODY, "Set in which part of their certificates' life devices renew them") \
    X(STREAM, "GET", "/stream", VIEWER, "log", NO, NONE, FRONT, BP_ROUTE_NOTHING, 0,                 \
      "Changes as server-sent events")

#endif
