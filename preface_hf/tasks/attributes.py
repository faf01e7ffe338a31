"""FAR, facial attribute recognition: yes or no for each of many attributes.

PrefAce and MARLIN report accuracy and AUC over all attributes of CelebV-HQ; which mean is meant differs
(`preface_hf.metrics.attributes` has both).
"""

from __future__ import annotations

from typing import Any

from preface_hf.tasks.base import Task


def words(text: str) -> tuple[str, ...]:
    """Names, parted by spaces."""
    return tuple(text.split())


# The 40 of CelebA (Liu et al. 2015), as `list_attr_celeba.txt` names them.
CELEBA = words(
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair "
    "Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup "
    "High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose "
    "Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat "
    "Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young"
)
# CelebV-HQ (Zhu et al. 2022): 40 of appearance, 35 of action; a set's own columns are found whatever their spelling.
CELEBV_APPEARANCE = words(
    "blurry male young chubby pale_skin rosy_cheeks oval_face receding_hairline bald bangs black_hair blonde_hair "
    "gray_hair brown_hair straight_hair wavy_hair long_hair arched_eyebrows bushy_eyebrows bags_under_eyes "
    "eyeglasses sunglasses narrow_eyes big_nose pointy_nose high_cheekbones big_lips double_chin no_beard "
    "5_o_clock_shadow goatee mustache sideburns heavy_makeup wearing_earrings wearing_hat wearing_lipstick "
    "wearing_necklace wearing_necktie wearing_mask"
)
CELEBV_ACTION = words(
    "blow chew close_eyes cough cry drink eat frown gaze glare head_wagging kiss laugh listen_to_music "
    "look_around make_a_face nod play_instrument read shake_head shout sigh sing sleep smile smoke sneer sneeze "
    "sniff talk turn weep whisper wink yawn"
)


def present(value: Any) -> Any:
    """1 for present; -1, which CelebA's file has for absent, is 0."""
    return 0 if value == -1 else value


TASKS = {
    "celeba": Task("attributes", "celeba", CELEBA, CELEBA, present, recipe="celeba"),
    "lfwa": Task("attributes", "lfwa", CELEBA, CELEBA, present, recipe="lfwa"),
    "celebv-hq-appearance": Task(
        "attributes", "celebv-hq-appearance", CELEBV_APPEARANCE, CELEBV_APPEARANCE, present, recipe="celebv-hq"
    ),
    "celebv-hq-action": Task(
        "attributes", "celebv-hq-action", CELEBV_ACTION, CELEBV_ACTION, present, recipe="celebv-hq"
    ),
}
