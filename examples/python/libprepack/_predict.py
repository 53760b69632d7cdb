"""What a run would take, before it runs."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import Integers, integers
from ._library import call, core, sized
from .cost import CostModel, cost_struct
from .errors import TooLongError
from .plan import Plan
from .results import Prediction

if TYPE_CHECKING:
    from .session import Session


def predict(session: Session, lengths: Integers | Plan, cost: CostModel | None) -> Prediction:
    """Session.predict."""
    model = cost_struct(cost)
    info = sized(_abi.pp_session_info)
    prediction = sized(_abi.pp_prediction)
    session.acquire()
    try:
        call(core().pp_session_get_info, session.handle, ctypes.byref(info))
    finally:
        session.release()
    plan = lengths if isinstance(lengths, Plan) else None
    array = integers("lengths", () if plan is not None else lengths, np.int64)
    if session.has_model:  # at lengths that nothing runs the walk over passes would not end
        _check(session.model.config.max_position, array if plan is None else
               plan.segments["first_token"] + plan.segments["n_tokens"], plan is None)
    call(core().pp_run_predict, ctypes.byref(info), None if model is None else ctypes.byref(model),
         None if plan is None else plan.handle, None if plan is not None else array.ctypes.data, array.size,
         ctypes.byref(prediction))
    return Prediction(prediction.seconds, prediction.passes, prediction.kv_bytes, prediction.state_bytes)


def _check(n_most: int, lengths: NDArray[np.int64], is_by_prompt: bool) -> None:
    wrong = np.flatnonzero(lengths > n_most)
    if wrong.size:
        who = f"prompt {wrong[0]}" if is_by_prompt else "a prompt of the plan"
        raise TooLongError(f"{who} has {lengths[wrong[0]]} tokens; the model has positions for {n_most}",
                           int(wrong[0]) if is_by_prompt else None)
