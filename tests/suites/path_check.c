/* SPDX-License-Identifier: Apache-2.0 */
/* tests/suites/path_check - asks bp_path_check about paths told on standard input, one word and its value a line:
 *     leaf HEX | anchor HEX | other HEX | crl HEX | time SECONDS | purpose server|client | name dns|mail TEXT | name ip HEX
 *     policy OID | depth N | uses BITS | waive RULE | explicit-policy | no-mapping | no-any-policy | any-strength
 *     leaf-may-be-ca | judge-anchor | revocation | end
 * Each `end` prints one line, "OK" or "ERROR rule=R section=S at=N crls=N:R why=TEXT". Exit 2 on a line that is none. */
#include "fleet/authority/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_N (4u << 20)
#define POLICIES   8

static struct {
    bp_span anchors[BP_PATH_INPUTS_MAX], others[BP_PATH_INPUTS_MAX], crls[BP_PATH_INPUTS_MAX];
    char *policies[POLICIES];
    struct bp_path_ask ask;
    struct bp_strict_policy policy;
    uint8_t *leaf;
    uint8_t *name;
} in;

static uint8_t *from_hex(const char *text, size_t *ret_n)
{
    const size_t n = strlen(text) / 2;
    uint8_t *bytes = malloc(n + 1);
    for (size_t i = 0; bytes != NULL && i < n; i++) {
        const char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    *ret_n = n;
    return bytes;
}

static void forget(bp_span *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *bytes;
        memcpy(&bytes, &list[i].p, sizeof bytes); /* ours, though a span only reads */
        free(bytes);
    }
}

static void begin(void)
{
    forget(in.anchors, in.ask.anchor_n);
    forget(in.others, in.ask.other_n);
    forget(in.crls, in.ask.crl_n);
    for (size_t i = 0; i < in.ask.policy_n; i++) {
        free(in.policies[i]);
    }
    free(in.leaf);
    free(in.name);
    memset(&in, 0, sizeof in);
    in.ask.now_s = BP_PATH_NO_TIME;
}

static bool add(bp_span *list, size_t *n, const char *value)
{
    if (*n == BP_PATH_INPUTS_MAX) {
        return false;
    }
    size_t len;
    const uint8_t *bytes = from_hex(value, &len);
    list[(*n)++] = bp_span_of(bytes, len);
    return bytes != NULL;
}

static bool set_name(const char *value)
{
    static const struct {
        const char *word;
        enum bp_path_name_kind kind;
    } kinds[] = {{"dns ", BP_PATH_DNS}, {"mail ", BP_PATH_MAIL}, {"ip ", BP_PATH_IP}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const size_t n = strlen(kinds[i].word);
        if (strncmp(value, kinds[i].word, n) == 0) {
            in.ask.name_kind = kinds[i].kind;
            if (kinds[i].kind == BP_PATH_IP) {
                in.name = from_hex(value + n, &in.ask.name.n);
            } else {
                in.name = (uint8_t *)strdup(value + n);
                in.ask.name.n = strlen(value + n);
            }
            in.ask.name.p = in.name;
            return in.name != NULL;
        }
    }
    return false;
}

static bool set_waived(const char *value)
{
    for (unsigned i = 1; i < BP_STRICT_COUNT; i++) {
        if (strcmp(value, bp_strict_name((enum bp_strict_rule)i)) == 0) {
            in.policy.waived |= (uint64_t)1 << i;
            return true;
        }
    }
    return false;
}

static bool set_flag(const char *word)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        {"explicit-policy", &in.ask.is_policy_required},   {"no-mapping", &in.ask.is_mapping_inhibited},
        {"no-any-policy", &in.ask.is_any_policy_inhibited}, {"any-strength", &in.ask.is_any_strength},
        {"leaf-may-be-ca", &in.policy.leaf_may_be_ca},      {"judge-anchor", &in.policy.anchor_is_judged},
        {"revocation", &in.ask.is_revocation_asked},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(word, flags[i].word) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static bool set_purpose(const char *value)
{
    in.ask.purpose = strcmp(value, "server") == 0 ? BP_PATH_SERVER : BP_PATH_CLIENT;
    return in.ask.purpose == BP_PATH_SERVER || strcmp(value, "client") == 0;
}

static bool add_policy(const char *value)
{
    if (in.ask.policy_n == POLICIES) {
        return false;
    }
    in.policies[in.ask.policy_n++] = strdup(value);
    return true;
}

static bool set_number(const char *word, const char *value)
{
    const long long v = strtoll(value, NULL, 10);
    if (strcmp(word, "time") == 0) {
        in.ask.now_s = v;
    } else if (strcmp(word, "depth") == 0) {
        in.policy.is_depth_limited = true;
        in.policy.depth_max = (uint32_t)v;
    } else if (strcmp(word, "uses") == 0) {
        in.policy.leaf_uses = (uint32_t)v;
    } else {
        return false;
    }
    return true;
}

static void answer(void)
{
    struct bp_path_answer a;
    const char *policies[POLICIES];
    memcpy(policies, in.policies, sizeof policies);
    in.ask.anchors = in.anchors;
    in.ask.others = in.others;
    in.ask.crls = in.crls;
    in.ask.policies = policies;
    const bp_result r = bp_path_check(&in.ask, &in.policy, &a);
    if (bp_failed(r)) {
        printf("%s rule=%s section=%s at=%zu crls=%zu:%s why=%s\n", bp_error_name(bp_error_of(r)),
               bp_strict_name(a.finding.rule), bp_strict_section(a.finding.rule), a.finding.at, a.crls_refused,
               bp_strict_name(a.crl_finding.rule), a.found.why == NULL ? "-" : a.found.why);
    } else {
        printf("OK\n");
    }
    fflush(stdout);
}

static bool take(const char *word, const char *value)
{
    if (strcmp(word, "anchor") == 0) {
        return add(in.anchors, &in.ask.anchor_n, value);
    }
    if (strcmp(word, "other") == 0) {
        return add(in.others, &in.ask.other_n, value);
    }
    if (strcmp(word, "crl") == 0) {
        return add(in.crls, &in.ask.crl_n, value);
    }
    if (strcmp(word, "leaf") == 0) {
        free(in.leaf);
        in.leaf = from_hex(value, &in.ask.leaf.n);
        in.ask.leaf.p = in.leaf;
        return in.leaf != NULL;
    }
    if (strcmp(word, "name") == 0) {
        return set_name(value);
    }
    if (strcmp(word, "purpose") == 0) {
        return set_purpose(value);
    }
    if (strcmp(word, "policy") == 0) {
        return add_policy(value);
    }
    if (strcmp(word, "waive") == 0) {
        return set_waived(value);
    }
    return set_number(word, value) || set_flag(word);
}

int main(void)
{
    char *line = malloc(LINE_MAX_N);
    int rc = line == NULL ? 3 : 0;
    begin();
    while (rc == 0 && fgets(line, (int)LINE_MAX_N, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, ' ');
        if (value != NULL) {
            *value++ = '\0';
        }
        if (strcmp(line, "end") == 0) {
            answer();
            begin();
        } else if (!take(line, value == NULL ? "" : value)) {
            fprintf(stderr, "path_check: cannot take \"%s\"\n", line);
            rc = 2;
        }
    }
    begin();
    free(line);
    return rc;
}
