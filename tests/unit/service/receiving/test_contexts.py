import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext, negotiate_unrestricted
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel, Verification

from calcreport.service.receiving.scp import choose_syntaxes

PRIVATE_SYNTAX = UID("1.2.840.113619.5.2")


def _negotiated(sop_class, syntaxes):
    context = PresentationContext()
    context.context_id = 1
    context.abstract_syntax = sop_class
    context.transfer_syntax = list(syntaxes)
    choose_syntaxes([context])
    (result,), _roles = negotiate_unrestricted([context], [build_context(Verification)])
    return result.result, result.transfer_syntax[0] if result.transfer_syntax else None


@pytest.mark.parametrize(
    ("syntaxes", "taken"),
    [
        ([JPEG2000Lossless, ExplicitVRLittleEndian], JPEG2000Lossless),
        ([ExplicitVRLittleEndian, JPEG2000Lossless], ExplicitVRLittleEndian),
        ([DeflatedExplicitVRLittleEndian, RLELossless], RLELossless),
        ([DeflatedExplicitVRLittleEndian], DeflatedExplicitVRLittleEndian),
        ([PRIVATE_SYNTAX, ExplicitVRLittleEndian], ExplicitVRLittleEndian),
    ],
)
def test_images_are_taken_as_they_come(syntaxes, taken):
    assert _negotiated(CTImageStorage, syntaxes) == (0, taken)


@pytest.mark.parametrize("sop_class", ["1.2.3.4.5.6", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.999"])
def test_storage_classes_nobody_knows_are_taken(sop_class):
    assert _negotiated(UID(sop_class), [ExplicitVRLittleEndian])[0] == 0


def test_a_transfer_syntax_nobody_can_read_is_refused_as_one():
    assert _negotiated(CTImageStorage, [PRIVATE_SYNTAX])[0] == 4


def test_other_services_are_refused():
    assert _negotiated(StorageCommitmentPushModel, [ExplicitVRLittleEndian])[0] == 3


def test_echo_is_taken():
    assert _negotiated(Verification, [ExplicitVRLittleEndian])[0] == 0
