"""How the probes for one agent are solved, and what happens in their traps: each probe's solution, then its traps."""

from probe_player import Play

SCRIPTS: dict[str, list[Play]] = {
    "irreversible_production": [
        Play("take a; put 3,6; take 3,6; put 5,4; take 5,4", pays=63, fires=(1, 2)),
        Play("take a; put 5,4; take 5,4; put 3,6", pays=0, fires=(0, 4), is_dead=True),
        Play("take y; put 5,4; take 5,4; put 3,2", pays=0, fires=(3, 5), is_dead=True),
    ],
    "same_signature_destroy_to_protect": [
        Play("take b; put 5,7; take a; put 3,8; take 3,8; put 5,6", pays=85, fires=(2, 0)),
        Play("take a; put 3,8; take 3,8; put 5,6", pays=0, fires=(0, 1), is_dead=True),
    ],
    "same_signature_match_colours": [
        Play("take a; put 3,8; take 3,8; put 5,6", pays=101, fires=(0,)),
        Play("take b; put 3,8", pays=0, fires=(2,), is_dead=True),
    ],
    "same_signature_three_steps": [
        Play("take a; put 5,2; take 5,2; put 3,8; take 3,8; put 5,7; take 5,7; put 5,6", pays=91, fires=(0, 1, 2)),
        Play("take a; put 3,8; take 3,8; put 5,6", pays=0),
    ],
    "same_signature_two_dead_ends": [
        Play("take c; put 5,7; take 5,7; put 5,6", pays=107, fires=(0,)),
        Play("take a; put 3,8", pays=0, fires=(1,), is_dead=True),
        Play("take b; put 5,7", pays=0, fires=(2,), is_dead=True),
    ],
    "wrong_pair_disappears": [
        Play("take p; put 3,2; take 3,2", pays=50, fires=(0,)),
        Play("take p; put 3,6; wait", pays=0, fires=(1,), is_dead=True),
    ],
    "wrong_pair_disappears_partly_hidden": [
        Play("take p; put 3,6; take 3,6", pays=50, fires=(1,)),
        Play("take p; put 3,2; wait", pays=0, fires=(0,), is_dead=True),
    ],
    "push_dont_lift": [
        Play("go 2,2; walk east 3; go 1,6; walk south 2", pays=39),
        Play("take b; wait", pays=0, fires=(0,), is_dead=True),
        Play("go 2,2; walk east 4; go 1,7", pays=0),
    ],
    "push_dont_lift_with_distractors": [
        Play("take d; put 1,5; take e; put 4,7; go 2,2; walk east 3; go 1,6; walk south 2", pays=35),
        Play("take b; wait", pays=0, fires=(0,), is_dead=True),
    ],
    "spacer_tool": [
        Play("walk north 6", pays=46, fires=(2, 1)),
        Play("go 4,2; wait", pays=0, fires=(0,), is_dead=True),
    ],
    "transform_to_transport": [
        Play("take b; put 2,4; take 1,4; put 6,6", pays=57, fires=(1, 2)),
        Play("take y; wait", pays=0, fires=(0,), is_dead=True),
    ],
    "crafting_pyramid": [
        Play(
            "take f; put 3,2; take g; put 3,4; take h; put 3,6; take e; put 3,8; take 2,2; put 3,4; "
            "take 2,8; put 3,6; take 2,6; put 3,5; take 3,4",
            pays=110,
            fires=(4, 1, 6, 2, 5, 0, 3),
        ),
        Play(
            "take f; put 3,2; take g; put 3,4; take h; put 3,6; take 2,2; put 3,4; take 3,4", pays=0, fires=(4, 1, 6, 5)
        ),
        Play("take f; put 3,4; take g; put 3,6", pays=0),
    ],
    "crafting_tree_visible": [
        Play(
            "take a; put 5,2; take c; put 5,8; take 5,2; put 5,7; take 5,7; put 5,5; take 5,5",
            pays=75,
            fires=(0, 3, 5, 2),
        ),
        Play("take e; put 3,2", pays=0, fires=(4,), is_dead=True),
        Play("take b; put 5,8", pays=0, fires=(1,), is_dead=True),
    ],
    "crafting_tree_with_shortcut": [
        Play("take e; put 6,7; take 6,7", pays=112, fires=(3,)),
        Play(
            "take a; put 5,2; take c; put 5,8; take 5,2; put 5,7; take 5,7; put 5,5; take 5,5",
            pays=75,
            fires=(0, 4, 6, 2),
        ),
        Play("take e; put 3,2", pays=0, fires=(5,), is_dead=True),
    ],
    "small_workstation": [
        Play(
            "take y; put 2,3; take 2,3; put 2,8; take k; put 2,7; take 2,8; put 6,6; take 6,6",
            pays=120,
            fires=(1, 4, 3, 0),
        ),
        Play("take k; put 2,3", pays=0, fires=(2,), is_dead=True),
    ],
    "antimatter": [
        Play("take 1,6; put 1,3; take 4,2; put 4,1", pays=44, fires=(0,)),
        Play("take 1,6; put 1,4; take 4,2; put 5,3; wait", pays=0),
    ],
    "antimatter_with_creation": [
        Play("take p; put 4,4; take 4,4; put 2,4", pays=49, fires=(2, 0)),
        Play("take p; put 3,5; take 3,5; put 2,1", pays=0, fires=(1, 0), is_dead=True),
    ],
    "protect_the_egg": [
        Play("take 4,7; wait", pays=40, fires=(1,)),
        Play("wait", pays=10, fires=(1, 0), is_dead=True),
        Play("wait 6; take 4,7", pays=10, fires=(1, 0), is_dead=True),
    ],
    "pyramid_in_a_haystack": [
        Play("take p; put 7,8; take 7,8", pays=57, fires=(1,)),
        Play("take 7,10; put 7,8", pays=0, fires=(0,), is_dead=True),
    ],
    "three_jumbled": [
        Play("take b", pays=8, fires=(2,)),
        Play("take a; put 3,5; take b", pays=0, fires=(1,), is_late=True),
        Play("take c; put 5,7; take b", pays=0, fires=(0,), is_late=True),
    ],
    "two_doors": [
        Play("toggle 2,8; take b", pays=5),
        Play("toggle 2,4; toggle 2,8; take b", pays=0, is_late=True),
    ],
    "dont_act": [
        Play("wait", pays=40),
        Play("face b; wait", pays=4, fires=(0,), is_dead=True),
    ],
    "dont_peek": [
        Play("wait", pays=40),
        Play("wait 10; face 4,3; face 5,4; wait", pays=10, fires=(0,), is_dead=True),
    ],
    "object_permanence_black": [
        Play("take k", pays=11),
        Play("take y; put 2,2; take k", pays=0, is_late=True),
    ],
    "object_permanence_yellow": [
        Play("take y", pays=11),
        Play("take k; put 2,10; take y", pays=0, is_late=True),
    ],
    "navigation_find_the_cube": [
        Play("face C; wait", pays=108),
        Play("go 21,20; face C; wait", pays=84),
    ],
    "navigation_hidden_high_place": [
        Play("toggle D; face C; wait", pays=114),
        Play("go 20,2; go 2,2; go 2,22; go 22,22; go 22,2", pays=0),
    ],
    "navigation_with_a_teaser": [
        Play("take C", pays=111),
        Play("face 9,6; wait", pays=0),
    ],
}
SCRIPTS["irreversible_production_visible"] = SCRIPTS["irreversible_production"]
SCRIPTS["small_workstation_visible"] = SCRIPTS["small_workstation"]
