/* state.h -- the module state: heap types, open packs, caches. No mutable globals. */
#ifndef PS_STATE_H
#define PS_STATE_H

#include "base.h"
#include "hash.h"

#define PS_FREELIST 64

struct ps_state {
    /* node.c */
    PyTypeObject *node_plain;
    PyTypeObject *node_gc;
    /* Python types */
    PyTypeObject *map;
    PyTypeObject *set;
    PyTypeObject *map_evolver;
    PyTypeObject *set_evolver;
    PyTypeObject *keys_view;
    PyTypeObject *values_view;
    PyTypeObject *items_view;
    PyTypeObject *iterator;
    PyTypeObject *list;
    PyTypeObject *list_iterator;
    PyTypeObject *deque;
    PyTypeObject *vector;
    PyTypeObject *vector_evolver;
    PyTypeObject *vector_iterator;
    PyTypeObject *sorted_map;
    PyTypeObject *sorted_set;
    PyTypeObject *sorted_map_evolver;
    PyTypeObject *sorted_set_evolver;
    PyTypeObject *sorted_keys_view;
    PyTypeObject *sorted_values_view;
    PyTypeObject *sorted_items_view;
    PyTypeObject *sorted_iterator;
    PyTypeObject *record_layout;
    PyTypeObject *record;
    PyTypeObject *map_record;
    PyTypeObject *pack;
    PyTypeObject *pack_writer;
    PyTypeObject *pack_builder;
    /* error.c */
    PyObject *errors; /* __dict__ of pstructs.errors, or NULL */
    /* hash.c */
    ps_hash_state hash;
    /* pack layer: open packs by id (borrowed; a Pack takes itself out when it dies) */
    PyObject **packs;
    uint32_t packs_size;
    uint32_t packs_free; /* first free id; 0: grow */
    const struct ps_pack_ops *pack_ops; /* what lower layers may ask of packs: node.h */
    PyObject *pack_slots[8]; /* owned; meaning is private to the pack layer */
    /* empty map and set, spare map objects */
    PyObject *empty_map;
    PyObject *empty_set;
    PyObject *empty_list;
    PyObject *empty_deque;
    PyObject *spare[PS_FREELIST]; /* memory of dead exact PMap and PSet objects */
    int n_spare;
    PyObject *spare_deques[PS_FREELIST]; /* memory of dead exact PDeque objects */
    int n_spare_deques;
    PyObject *spare_cells[PS_FREELIST]; /* memory of dead exact PList objects */
    int n_spare_cells;
    PyObject *empty_vector;
    PyObject *spare_vectors[PS_FREELIST]; /* of dead exact PVector objects */
    int n_spare_vectors;
    PyObject *spare_vector_iterator; /* memory of a dead VectorIterator, or NULL */
    /* collections.abc, when first needed */
    PyObject *abc_mapping;
    PyObject *abc_set;
    /* interned names: a fresh string a lookup would fill the interpreter's method cache */
    PyObject *str_keys;
    PyObject *str_items;
    PyObject *str_record_layout;
    PyObject *str_build;
    PyObject *str_replace;
    PyObject *str_errors_in;
    PyObject *str_refuse;
};

ps_state *ps_state_of_module(PyObject *module);
ps_state *ps_state_of_type(PyTypeObject *type); /* one of our types or a subclass */

#endif
