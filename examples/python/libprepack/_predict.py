"""What a run would take, before it runs."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _abi
from ._library import call, core, sized
from .results import Prediction

if TYPE_CHECKING:
    from .session import Session


def predict(session: Session, lengths: Any, cost: Any) -> Prediction:
    """Session.predict."""
    info = sized(_abi.pp_session_info)
    prediction = sized(_abi.pp_prediction)
    session.acquire()
    try:
        call(core().pp_session_get_info, session.handle, ctypes.byref(info))
    finally:
        session.release()
    is_plan = hasattr(lengths, "handle")
    array = np.ascontiguousarray(np.zeros(0) if is_plan else lengths, np.int64)
    call(core().pp_run_predict, ctypes.byref(info), None if cost is None else ctypes.byref(cost.struct),
         lengths.handle if is_plan else None, None if is_plan else array.ctypes.data, array.size,
         ctypes.byref(prediction))
    return Prediction(prediction.seconds, prediction.passes, prediction.kv_bytes)
