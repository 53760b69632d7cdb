/*
 * session_info.c: what a session is and holds, and what one would hold.
 */
#include "run/session_create.h"

#include <string.h>

static void read_pages(const struct pp_session *session, pp_session_info *info)
{
    const struct ppi_kv_shape *shape = &session->store.shape;
    _Static_assert(PPI_MAX_PAGE_CLASSES == PPI_COUNT(info->class_windows), "one entry for each");
    info->page_tokens = session->info.page_tokens;
    info->n_page_classes = shape->n_classes;
    info->keep_window_pages = shape->keep_all;
    info->state_bytes = ppi_store_state_bytes(&session->store);
    for (int32_t c = 0; c < shape->n_classes; c++) {
        info->class_page_bytes[c] = session->info.page_bytes[c];
        info->class_windows[c] = shape->classes[c].window;
        info->page_bytes += session->info.page_bytes[c];
    }
    ppi_store_count(&session->store, &info->kv_pool_bytes, &info->kv_bytes);
}

static void read_info(const struct pp_session *session, int64_t weights, pp_session_info *info)
{
    struct ppi_backend_memory memory;
    session->ops->get_memory(session->backend, &memory);
    *info = (pp_session_info){
        .struct_size = sizeof *info,
        .dtype = session->dtype,
        .weights = session->weights_wanted,
        .n_threads = session->n_threads,
        .max_pass_tokens = session->info.max_pass_tokens,
        .chunk_tokens = session->info.chunk_tokens,
        .weight_bytes = weights,
        .workspace_bytes = session->workspace.device_bytes,
        .memory_bytes = memory.bytes + weights,
        .peak_memory_bytes = memory.peak + weights,
        .tokens_computed = session->tokens_computed,
        .passes = session->passes,
        .host_bytes = session->info.has_own_memory ? atomic_load(&session->mem.bytes) : 0,
    };
    read_pages(session, info);
    memcpy(info->device, session->info.name, sizeof info->device);
    memcpy(info->device_name, session->info.device_name, sizeof info->device_name);
    memcpy(info->attention, session->info.attention, sizeof info->attention);
    memcpy(info->pci_address, session->info.pci_address, sizeof info->pci_address);
}

pp_status pp_session_get_info(const pp_session *session, pp_session_info *out, pp_error *err)
{
    if (!session)
        return ppi_error(err, PP_ERR_ARG, "pp_session_get_info: session is NULL");
    pp_session_info info;
    read_info(session, session->weights ? session->weights->bytes : 0, &info);
    return ppi_struct_write(out, &info, sizeof info, "pp_session_info", err);
}

/* Adds the workspace that a session without one would have. */
static void add_workspace(const struct pp_session *session, pp_session_info *info)
{
    info->workspace_bytes = ppi_workspace_bytes(session);
    info->memory_bytes += ppi_session_workspace_bytes(session);
    info->peak_memory_bytes = info->memory_bytes;
    if (session->info.has_own_memory)
        info->host_bytes += ppi_workspace_host_bytes(session);
}

pp_status pp_session_estimate(pp_model *model, const pp_session_params *caller_params,
                              pp_session_info *out, pp_error *err)
{
    if (!model)
        return ppi_error(err, PP_ERR_ARG, "pp_session_estimate: model is NULL");
    pp_session_params params;
    PP_TRY(ppi_session_read_params(caller_params, &params, err));
    pp_session *session;
    PP_TRY(ppi_session_create_empty(model, &params, &session, err));
    pp_session_info info;
    struct ppi_weights_wish wish = ppi_session_wish(session);
    read_info(session, ppi_weights_bytes(model, &wish, session->backend), &info);
    add_workspace(session, &info);
    pp_session_destroy(session);
    return ppi_struct_write(out, &info, sizeof info, "pp_session_info", err);
}
