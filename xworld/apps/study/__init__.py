"""Studies: people play tasks for a baseline. Start with `sitting.py`; `report.py` compares them with agents."""

from xworld.apps.study.config import Study, StudyTask, find_study, parse_study, study_names, study_text
from xworld.apps.study.record import Record, check_id, find_folders, make_id, open_record, read_record
from xworld.apps.study.schedule import Item, make_schedule, next_rotation
from xworld.apps.study.sitting import Sitting

__all__ = [
    "Item",
    "Record",
    "Sitting",
    "Study",
    "StudyTask",
    "check_id",
    "find_folders",
    "find_study",
    "make_id",
    "make_schedule",
    "next_rotation",
    "open_record",
    "parse_study",
    "read_record",
    "study_names",
    "study_text",
]
