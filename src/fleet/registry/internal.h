/* SPDX-License-Identifier: Apache-2.0 */
/* fleet/registry/internal - what the files of this folder share. Not for other folders. */
#ifndef BP_FLEET_REGISTRY_INTERNAL_H
#define BP_FLEET_REGISTRY_INTERNAL_H

#include "fleet/registry/registry.h"

/* Copies a text that people wrote: UTF-8 was checked by the message. False: too long, or it has
 * control characters. */
bool bp_registry_text(bp_span from, char *ret, size_t cap);

/* Moves a device into a state that is for good and switches it off, without an event. crl_reason: RFC 5280. */
BP_MUST_CHECK bp_result bp_registry_end(struct bp_registry *r, struct bp_device *d, enum bp_operation op,
                                        uint32_t crl_reason, bp_span reason, enum bp_problem *ret_problem);

/* -- positions.c -- */
/* One event of an act. */
BP_MUST_CHECK bp_result bp_registry_tell(struct bp_registry *r, enum bp_event_type type, const struct bp_device *d,
                                         const struct bp_place *place, bp_span actor,
                                         const struct bp_event_detail *detail, size_t count);
/* The device gets the position's place, and the position if it is one (n not 0). One that expects no model takes any. */
BP_MUST_CHECK bp_result bp_registry_put(struct bp_registry *r, const struct bp_position *p, struct bp_device *d);
/* A device goes for good; one that is off already stays what it is. Its name stays with the position. */
BP_MUST_CHECK bp_result bp_registry_put_off(struct bp_registry *r, struct bp_device *old, uint32_t crl_reason,
                                            bp_span reason, enum bp_problem *ret_problem);
/* A spare is judged by what is known of it now: enrolled, heard in time, trusted, of that model, and free. *ret_why:
 * what it lacks, a text that lives as long as the program; NULL: nothing. */
BP_MUST_CHECK bp_result bp_registry_check_spare(struct bp_registry *r, const struct bp_position *p,
                                                const struct bp_device *d, const char **ret_why);
/* The position with this tag, which nobody fills.   NOT_FOUND, POSITION_FILLED */
BP_MUST_CHECK bp_result bp_registry_vacant(struct bp_registry *r, bp_span tag, struct bp_position *ret,
                                           enum bp_problem *ret_problem);
/* Sets the place that an invitation gives a device that comes again; what fills a position stays there. */
BP_MUST_CHECK bp_result bp_registry_place_invited(struct bp_registry *r, const struct bp_invitation *i,
                                                  struct bp_device *d);
/* Puts an invited device into the position that the invitation names, if it names one.
 *   POSITION_FILLED  somebody fills it by now, or the device fills another one */
BP_MUST_CHECK bp_result bp_registry_invited_to(struct bp_registry *r, const struct bp_invitation *i,
                                               struct bp_device *d, enum bp_problem *ret_problem);

#endif
