/* tokenizer_table.c -- pieces by their bytes, merges by their pair (open addressing, at most half
 * full), added tokens as a byte tree. */
#include <string.h>

#include <xxhash.h>

#include "tokenizer_parts.h"

static uint32_t slots_for(uint32_t n) {
  uint32_t slots = 16;
  while (slots < 2 * n) slots *= 2; /* n <= TOKENIZER_MAX_PIECES or a checked number of merges */
  return slots;
}

forge_status piece_table_init(piece_table *table, const tokenizer_piece *pieces, uint32_t n) {
  const uint32_t slots = slots_for(n);
  *table = (piece_table){.pieces = pieces, .mask = slots - 1};
  table->slots = mem_zalloc_array(slots, sizeof *table->slots);
  return table->slots ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: table of %u pieces", n);
}

bool piece_table_add(piece_table *table, uint32_t id, uint32_t *out_other) {
  const tokenizer_piece *piece = &table->pieces[id];
  const uint64_t hash = XXH3_64bits(piece->s, piece->n);
  const uint32_t tag = (uint32_t)(hash >> 32);
  for (uint32_t i = (uint32_t)hash & table->mask;; i = (i + 1) & table->mask) {
    table_slot *slot = &table->slots[i];
    if (!slot->id1) {
      *slot = (table_slot){.tag = tag, .id1 = id + 1};
      return true;
    }
    const tokenizer_piece *other = &table->pieces[slot->id1 - 1];
    if (slot->tag != tag || other->n != piece->n || memcmp(other->s, piece->s, piece->n) != 0)
      continue;
    *out_other = slot->id1 - 1;
    return false;
  }
}

int32_t piece_table_find(const piece_table *table, const char *s, uint32_t n) {
  const uint64_t hash = XXH3_64bits(s, n);
  const uint32_t tag = (uint32_t)(hash >> 32);
  for (uint32_t i = (uint32_t)hash & table->mask;; i = (i + 1) & table->mask) {
    const table_slot *slot = &table->slots[i];
    if (!slot->id1) return -1;
    if (slot->tag != tag) continue;
    const tokenizer_piece *piece = &table->pieces[slot->id1 - 1];
    if (piece->n == n && !memcmp(piece->s, s, n)) return (int32_t)(slot->id1 - 1);
  }
}

static uint64_t pair_key(int32_t left, int32_t right) {
  return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static uint32_t pair_place(uint64_t pair, uint32_t mask) {
  const uint64_t mixed = (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15u;
  return (uint32_t)(mixed >> 32) & mask;
}

forge_status merge_table_init(merge_table *table, uint32_t n) {
  const uint32_t slots = slots_for(n);
  *table = (merge_table){.mask = slots - 1};
  table->slots = mem_zalloc_array(slots, sizeof *table->slots);
  return table->slots ? FORGE_OK : FAIL(FORGE_E_OOM, "tokenizer: table of %u merges", n);
}

bool merge_table_add(merge_table *table, tokenizer_merge pair, uint32_t rank, uint32_t id,
                     uint32_t *out_other) {
  const uint64_t key = pair_key(pair.left, pair.right);
  for (uint32_t i = pair_place(key, table->mask);; i = (i + 1) & table->mask) {
    merge_slot *slot = &table->slots[i];
    if (!slot->id1) {
      *slot = (merge_slot){.pair = key, .rank = rank, .id1 = id + 1};
      return true;
    }
    if (slot->pair != key) continue;
    *out_other = slot->rank;
    return false;
  }
}

const merge_slot *merge_table_find(const merge_table *table, int32_t left, int32_t right) {
  const uint64_t key = pair_key(left, right);
  for (uint32_t i = pair_place(key, table->mask);; i = (i + 1) & table->mask) {
    const merge_slot *slot = &table->slots[i];
    if (!slot->id1) return NULL;
    if (slot->pair == key) return slot;
  }
}

static forge_status new_node(trie *tree, uint8_t byte, uint32_t *out) {
  if (!ARRAY_GROW(tree->nodes, tree->n, tree->cap))
    return FAIL(FORGE_E_OOM, "tokenizer: added tokens");
  tree->nodes[tree->n] = (trie_node){.id = -1, .byte = byte};
  *out = (uint32_t)tree->n++;
  return FORGE_OK;
}

static uint32_t child_of(const trie *tree, uint32_t node, uint8_t byte) {
  uint32_t child = tree->nodes[node].child;
  while (child && tree->nodes[child].byte != byte) child = tree->nodes[child].sibling;
  return child;
}

forge_status trie_add(trie *tree, const tokenizer_piece *piece, int32_t id) {
  uint32_t node = 0;
  if (!tree->n) TRY(new_node(tree, 0, &node));
  for (uint32_t i = 0; i < piece->n; i++) {
    const uint8_t byte = (uint8_t)piece->s[i];
    uint32_t child = child_of(tree, node, byte);
    if (!child) {
      TRY(new_node(tree, byte, &child));
      tree->nodes[child].sibling = tree->nodes[node].child;
      tree->nodes[node].child = child;
    }
    node = child;
  }
  tree->nodes[node].id = id;
  tree->first[(uint8_t)piece->s[0]] = 1;
  return FORGE_OK;
}

int32_t trie_match(const trie *tree, const uint8_t *types, uint32_t type_mask, const char *s,
                   uint64_t n, uint32_t *out_n) {
  if (!n || !tree->first[(uint8_t)s[0]]) return -1;
  int32_t best = -1;
  uint32_t node = 0;
  for (uint32_t i = 0; i < n; i++) {
    node = child_of(tree, node, (uint8_t)s[i]);
    if (!node) break;
    const int32_t id = tree->nodes[node].id;
    if (id < 0 || !(type_mask >> types[id] & 1)) continue;
    best = id;
    *out_n = i + 1;
  }
  return best;
}
