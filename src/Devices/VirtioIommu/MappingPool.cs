using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>What one MAP request made.</summary>
/// <param name="Start">First virtual address.</param>
/// <param name="End">Last virtual address.</param>
/// <param name="Physical">Guest-physical address of <paramref name="Start"/>.</param>
/// <param name="Flags">Rights and memory type.</param>
public readonly record struct Mapping(ulong Start, ulong End, ulong Physical, VirtioIommuMapFlags Flags)
{
    /// <summary>True when the address is mapped by this.</summary>
    public bool Contains(ulong address) => address >= Start && address <= End;
}

/// <summary>
/// The mappings of all domains: balanced (AVL) trees of disjoint intervals in one bounded array, ordered by start. A tree is
/// named by the index of its root, 0 when empty. Searching allocates nothing; adding grows the array by doubling up to the
/// limit. Depth is at most 1.44 log2(limit), so recursion is bounded.
/// </summary>
/// <param name="limit">Mappings that may exist at once.</param>
sealed class MappingPool(int limit)
{
    Node[] nodes = new Node[64];
    int used = 1;
    int free;

    struct Node
    {
        public ulong Start, End, Physical;
        public int Left, Right;
        public byte Height, Flags;
    }

    /// <summary>Mappings that exist.</summary>
    public int Count { get; private set; }

    /// <summary>No further mapping fits.</summary>
    public bool IsFull => Count >= limit;

    public Mapping this[int node] => new(nodes[node].Start, nodes[node].End, nodes[node].Physical, (VirtioIommuMapFlags)nodes[node].Flags);

    /// <summary>The first mapping that ends at or after <paramref name="address"/>; 0 when there is none.</summary>
    public int FirstEndingAt(int root, ulong address)
    {
        var found = 0;
        while (root != 0)
        {
            ref readonly var node = ref nodes[root];
            if (node.End >= address)
            {
                found = root;
                root = node.Left;
            }
            else
            {
                root = node.Right;
            }
        }

        return found;
    }

    /// <summary>The mapping of an address; 0 when there is none.</summary>
    public int Find(int root, ulong address)
    {
        while (root != 0)
        {
            ref readonly var node = ref nodes[root];
            if (address < node.Start)
            {
                root = node.Left;
            }
            else if (address > node.End)
            {
                root = node.Right;
            }
            else
            {
                return root;
            }
        }

        return 0;
    }

    /// <summary>Adds a mapping that overlaps none; the pool is not full. Returns the new root.</summary>
    public int Add(int root, in Mapping mapping)
    {
        var node = Take();
        nodes[node] = new()
        {
            Start = mapping.Start, End = mapping.End, Physical = mapping.Physical, Flags = (byte)mapping.Flags, Height = 1,
        };
        return Insert(root, node);
    }

    /// <summary>Removes the mapping that starts at <paramref name="start"/>, which exists. Returns the new root.</summary>
    public int Remove(int root, ulong start)
    {
        ref var node = ref nodes[root];
        if (start < node.Start)
        {
            node.Left = Remove(node.Left, start);
        }
        else if (start > node.Start)
        {
            node.Right = Remove(node.Right, start);
        }
        else
        {
            return Unlink(root);
        }

        return Balance(root);
    }

    /// <summary>Frees a whole tree.</summary>
    public void Clear(int root)
    {
        if (root != 0)
        {
            Clear(nodes[root].Left);
            Clear(nodes[root].Right);
            Give(root);
        }
    }

    /// <summary>Mappings of a tree in order of address, for inspection and snapshots.</summary>
    public IEnumerable<Mapping> All(int root)
    {
        for (var at = FirstEndingAt(root, 0); at != 0;)
        {
            var mapping = this[at];
            yield return mapping;
            at = mapping.End == ulong.MaxValue ? 0 : FirstEndingAt(root, mapping.End + 1);
        }
    }

    /// <summary>Height of a tree, for tests.</summary>
    public int Height(int root) => nodes[root].Height;

    int Unlink(int root)
    {
        var (left, right) = (nodes[root].Left, nodes[root].Right);
        Give(root);
        if (left == 0 || right == 0)
        {
            return left | right;
        }

        right = TakeLeast(right, out var least);
        nodes[least].Left = left;
        nodes[least].Right = right;
        return Balance(least);
    }

    int TakeLeast(int root, out int least)
    {
        ref var node = ref nodes[root];
        if (node.Left == 0)
        {
            least = root;
            return node.Right;
        }

        node.Left = TakeLeast(node.Left, out least);
        return Balance(root);
    }

    int Insert(int root, int added)
    {
        if (root == 0)
        {
            return added;
        }

        ref var node = ref nodes[root];
        if (nodes[added].Start < node.Start)
        {
            node.Left = Insert(node.Left, added);
        }
        else
        {
            node.Right = Insert(node.Right, added);
        }

        return Balance(root);
    }

    int Balance(int root)
    {
        ref var node = ref nodes[root];
        var tilt = Tilt(root);
        if (tilt > 1)
        {
            if (Tilt(node.Left) < 0)
            {
                node.Left = RotateLeft(node.Left);
            }

            return RotateRight(root);
        }

        if (tilt < -1)
        {
            if (Tilt(node.Right) > 0)
            {
                node.Right = RotateRight(node.Right);
            }

            return RotateLeft(root);
        }

        Measure(root);
        return root;
    }

    int Tilt(int root) => nodes[nodes[root].Left].Height - nodes[nodes[root].Right].Height;

    int RotateLeft(int root)
    {
        var top = nodes[root].Right;
        nodes[root].Right = nodes[top].Left;
        nodes[top].Left = root;
        Measure(root);
        Measure(top);
        return top;
    }

    int RotateRight(int root)
    {
        var top = nodes[root].Left;
        nodes[root].Left = nodes[top].Right;
        nodes[top].Right = root;
        Measure(root);
        Measure(top);
        return top;
    }

    void Measure(int root) => nodes[root].Height = (byte)(1 + Math.Max(nodes[nodes[root].Left].Height, nodes[nodes[root].Right].Height));

    int Take()
    {
        Count++;
        var node = free;
        if (node != 0)
        {
            free = nodes[node].Left;
            return node;
        }

        if (used == nodes.Length)
        {
            Array.Resize(ref nodes, (int)Math.Min(2L * nodes.Length, limit + 1L));
        }

        return used++;
    }

    void Give(int node)
    {
        nodes[node] = new() { Left = free };
        free = node;
        Count--;
    }
}
