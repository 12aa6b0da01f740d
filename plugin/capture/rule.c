/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capture/rule.h"

#include <json-glib/json-glib.h>
#include <nftables/libnftables.h>

#include "base/error.h"

#define VMF_TABLE "vmferry"
#define VMF_CHAIN "output"
#define VMF_PRIORITY (-100) /* dstnat */

struct VmfCaptureRule {
    struct nft_ctx *nft; /* its netlink socket owns the table */
};

static void
vmf_json_member(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void
vmf_json_number(JsonBuilder *json, const char *name, gint64 value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

static void
vmf_json_open(JsonBuilder *json, const char *name)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_object(json);
}

/* { VERB: { OBJECT: { "family": "inet", ...; the caller adds to it, and closes it by
 * vmf_command_end() */
static void
vmf_command_begin(JsonBuilder *json, const char *verb, const char *object)
{
    json_builder_begin_object(json);
    vmf_json_open(json, verb);
    vmf_json_open(json, object);
    vmf_json_member(json, "family", "inet");
}

static void
vmf_command_end(JsonBuilder *json)
{
    json_builder_end_object(json);
    json_builder_end_object(json);
    json_builder_end_object(json);
}

static void
vmf_command_chain(JsonBuilder *json, const char *verb)
{
    vmf_command_begin(json, verb, "chain");
    vmf_json_member(json, "table", VMF_TABLE);
    vmf_json_member(json, "name", VMF_CHAIN);
    vmf_json_member(json, "type", "nat");
    vmf_json_member(json, "hook", "output");
    vmf_json_number(json, "prio", VMF_PRIORITY);
    vmf_json_member(json, "policy", "accept");
    vmf_command_end(json);
}

/* { "match": { "op": OP, "left": ...; closed by two ends after "right" */
static void
vmf_match_begin(JsonBuilder *json, const char *op)
{
    json_builder_begin_object(json);
    vmf_json_open(json, "match");
    vmf_json_member(json, "op", op);
    vmf_json_open(json, "left");
}

static void
vmf_match_payload(JsonBuilder *json, const char *protocol, const char *field)
{
    vmf_match_begin(json, "==");
    vmf_json_open(json, "payload");
    vmf_json_member(json, "protocol", protocol);
    vmf_json_member(json, "field", field);
    json_builder_end_object(json);
    json_builder_end_object(json); /* left */
}

static void
vmf_match_end(JsonBuilder *json)
{
    json_builder_end_object(json);
    json_builder_end_object(json);
}

static void
vmf_match_not_ours(JsonBuilder *json)
{
    vmf_match_begin(json, "!=");
    vmf_json_open(json, "meta");
    vmf_json_member(json, "key", "mark");
    json_builder_end_object(json);
    json_builder_end_object(json); /* left */
    vmf_json_number(json, "right", VMF_CAPTURE_MARK);
    vmf_match_end(json);
}

static void
vmf_match_address(JsonBuilder *json, GInetAddress *address)
{
    g_autofree char *text = g_inet_address_to_string(address);

    vmf_match_payload(
        json, g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV6 ? "ip6" : "ip", "daddr");
    vmf_json_member(json, "right", text);
    vmf_match_end(json);
}

static void
vmf_match_ports(JsonBuilder *json, const VmfCapture *what)
{
    vmf_match_payload(json, "tcp", "dport");
    vmf_json_open(json, "right");
    json_builder_set_member_name(json, "range");
    json_builder_begin_array(json);
    json_builder_add_int_value(json, what->port_first);
    json_builder_add_int_value(json, what->port_last);
    json_builder_end_array(json);
    json_builder_end_object(json);
    vmf_match_end(json);
}

static void
vmf_command_rule(JsonBuilder *json, const VmfCapture *what, GInetAddress *address)
{
    vmf_command_begin(json, "add", "rule");
    vmf_json_member(json, "table", VMF_TABLE);
    vmf_json_member(json, "chain", VMF_CHAIN);
    json_builder_set_member_name(json, "expr");
    json_builder_begin_array(json);
    vmf_match_not_ours(json);
    vmf_match_address(json, address);
    vmf_match_ports(json, what);
    json_builder_begin_object(json);
    vmf_json_open(json, "redirect");
    vmf_json_number(json, "port", what->listener);
    json_builder_end_object(json);
    json_builder_end_object(json);
    json_builder_end_array(json);
    vmf_command_end(json);
}

char *
vmf_capture_to_json(const VmfCapture *what)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "nftables");
    json_builder_begin_array(json);
    vmf_command_chain(json, "add");
    vmf_command_chain(json, "flush");
    for (guint i = 0; i < what->addresses->len; i++)
        vmf_command_rule(json, what, g_ptr_array_index(what->addresses, i));
    json_builder_end_array(json);
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

static gboolean
vmf_capture_rule_run(VmfCaptureRule *self, const char *commands, GError **error)
{
    g_autofree char *message = NULL;

    if (nft_run_cmd_from_buffer(self->nft, commands) == 0)
        return TRUE;
    message = g_strdup(nft_ctx_get_error_buffer(self->nft));
    g_strdelimit(message, "\n", ' ');
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                "nftables does not take the rule that captures migrations: %s",
                g_strstrip(message));
    return FALSE;
}

VmfCaptureRule *
vmf_capture_rule_new(GError **error)
{
    g_autoptr(VmfCaptureRule) self = g_new0(VmfCaptureRule, 1);

    self->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!self->nft || nft_ctx_buffer_error(self->nft) || nft_ctx_buffer_output(self->nft)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED,
                            "nftables cannot be used on this host");
        return NULL;
    }
    /* libnftables knows no flags of tables in JSON. The kernel removes the table with its owner. */
    if (!vmf_capture_rule_run(self, "add table inet " VMF_TABLE " { flags owner; }", error))
        return NULL;
    nft_ctx_output_set_flags(self->nft, NFT_CTX_OUTPUT_JSON);
    return g_steal_pointer(&self);
}

gboolean
vmf_capture_rule_set(VmfCaptureRule *self, const VmfCapture *what, GError **error)
{
    g_autofree char *commands = vmf_capture_to_json(what);

    return vmf_capture_rule_run(self, commands, error);
}

void
vmf_capture_rule_free(VmfCaptureRule *self)
{
    if (self->nft)
        nft_ctx_free(self->nft);
    g_free(self);
}
