"""What a run would take, before it runs."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from . import _abi
from ._arrays import Integers, integers
from ._library import call, core, sized
from .plan import Plan
from .results import Prediction

if TYPE_CHECKING:
    from .cost import CostModel
    from .session import Session


def predict(session: Session, lengths: Integers | Plan, cost: CostModel | None) -> Prediction:
    """Session.predict."""
    info = sized(_abi.pp_session_info)
    prediction = sized(_abi.pp_prediction)
    session.acquire()
    try:
        call(core().pp_session_get_info, session.handle, ctypes.byref(info))
    finally:
        session.release()
    plan = lengths if isinstance(lengths, Plan) else None
    array = integers("lengths", () if plan is not None else lengths, np.int64)
    call(core().pp_run_predict, ctypes.byref(info), None if cost is None else ctypes.byref(cost.struct),
         None if plan is None else plan.handle, None if plan is not None else array.ctypes.data, array.size,
         ctypes.byref(prediction))
    return Prediction(prediction.seconds, prediction.passes, prediction.kv_bytes)
