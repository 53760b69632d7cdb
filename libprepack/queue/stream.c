/*
 * stream.c: the public face of a packer's queue: structs of other versions, packers without one.
 */
#include "queue.h"

#include "plan/packer_impl.h"

static pp_status check(const pp_packer *packer, const char *function, pp_error *err)
{
    if (!packer)
        return ppi_error(err, PP_ERR_ARG, "%s: packer is NULL", function);
    if (!packer->queue)
        return ppi_error(err, PP_ERR_ARG,
                         "%s: this packer has no queue; it was made with max_waiting 0", function);
    return PP_OK;
}

pp_status pp_packer_add(pp_packer *packer, const pp_waiting_prompt *prompt, pp_error *err)
{
    PP_TRY(check(packer, "pp_packer_add", err));
    if (!prompt)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_add: prompt is NULL");
    pp_waiting_prompt given = {.struct_size = sizeof given};
    PP_TRY(ppi_struct_read(&given, sizeof given, prompt, "pp_waiting_prompt", err));
    PP_TRY(ppi_reserved_check(given.reserved, PPI_COUNT(given.reserved), "pp_waiting_prompt", err));
    return ppi_queue_add(packer->queue, &given, err);
}

pp_status pp_packer_next(pp_packer *packer, double max_wait, pp_step *step, pp_error *err)
{
    PP_TRY(check(packer, "pp_packer_next", err));
    if (!step)
        return ppi_error(err, PP_ERR_ARG, "pp_packer_next: step is NULL");
    pp_step taken = {.struct_size = sizeof taken};
    PP_TRY(ppi_struct_read(&taken, sizeof taken, step, "pp_step", err));
    pp_status status = ppi_queue_next(packer->queue, max_wait, &taken, err);
    if (status != PP_OK)
        return status;
    return ppi_struct_write(step, &taken, sizeof taken, "pp_step", err);
}

pp_status pp_packer_cancel(pp_packer *packer, int64_t id, pp_error *err)
{
    PP_TRY(check(packer, "pp_packer_cancel", err));
    return ppi_queue_cancel(packer->queue, id);
}

pp_status pp_packer_close(pp_packer *packer, pp_error *err)
{
    PP_TRY(check(packer, "pp_packer_close", err));
    ppi_queue_close(packer->queue);
    return PP_OK;
}

pp_status pp_packer_get_stats(const pp_packer *packer, pp_packer_stats *stats, pp_error *err)
{
    PP_TRY(check(packer, "pp_packer_get_stats", err));
    pp_packer_stats counted;
    ppi_queue_get_stats(packer->queue, &counted);
    return ppi_struct_write(stats, &counted, sizeof counted, "pp_packer_stats", err);
}
