namespace Vmm.GuestDma.Addresses;

/// <summary>The tree's nodes: a treap over ranges, threaded in address order. Node 0 lies above every address.</summary>
sealed class IovaNodes
{
    const int None = -1;

    struct Node
    {
        public ulong Low, High;
        public int Left, Right, Parent, Below, Above;
        public uint Priority;
    }

    Node[] nodes = new Node[1024];
    int root = None, free = None, used = 1;

    public IovaNodes() => nodes[0] = new() { Low = ulong.MaxValue, High = ulong.MaxValue };

    public int Count { get; private set; }

    public ulong Low(int at) => nodes[at].Low;

    public ulong High(int at) => nodes[at].High;

    /// <summary>The next lower range, or 0.</summary>
    public int Below(int at) => nodes[at].Below;

    /// <summary>The next higher range, or 0.</summary>
    public int Above(int at) => nodes[at].Above;

    public int Find(ulong low, ref int visited)
    {
        var at = root;
        while (at != None && nodes[at].Low != low)
        {
            visited++;
            at = low < nodes[at].Low ? nodes[at].Left : nodes[at].Right;
        }

        return at;
    }

    /// <summary>Adds a range directly below a node.</summary>
    public int Insert(ulong low, ulong high, int above, ref int visited)
    {
        var at = Take();
        ref var node = ref nodes[at];
        var below = nodes[above].Below;
        node = new() { Low = low, High = high, Left = None, Right = None, Parent = None, Below = below, Above = above, Priority = Hash(at) };
        nodes[above].Below = at;
        nodes[below].Above = at;
        Count++;
        var parent = None;
        for (var next = root; next != None; visited++)
        {
            parent = next;
            next = low < nodes[next].Low ? nodes[next].Left : nodes[next].Right;
        }

        node.Parent = parent;
        if (parent == None)
        {
            root = at;
        }
        else if (low < nodes[parent].Low)
        {
            nodes[parent].Left = at;
        }
        else
        {
            nodes[parent].Right = at;
        }

        while (nodes[at].Parent != None && nodes[nodes[at].Parent].Priority < nodes[at].Priority)
        {
            Raise(at);
        }

        return at;
    }

    public void Remove(int at)
    {
        while (nodes[at].Left != None || nodes[at].Right != None)
        {
            int left = nodes[at].Left, right = nodes[at].Right;
            Raise(left == None || right != None && nodes[right].Priority > nodes[left].Priority ? right : left);
        }

        Replace(at, None);
        nodes[nodes[at].Above].Below = nodes[at].Below;
        nodes[nodes[at].Below].Above = nodes[at].Above;
        nodes[at].Left = free;
        free = at;
        Count--;
    }

    int Take()
    {
        if (free != None)
        {
            var at = free;
            free = nodes[at].Left;
            return at;
        }

        if (used == nodes.Length)
        {
            Array.Resize(ref nodes, used * 2);
        }

        return used++;
    }

    /// <summary>Rotates a node over its parent.</summary>
    void Raise(int at)
    {
        var parent = nodes[at].Parent;
        Replace(parent, at);
        if (nodes[parent].Left == at)
        {
            Adopt(parent, nodes[at].Right, left: true);
            nodes[at].Right = parent;
        }
        else
        {
            Adopt(parent, nodes[at].Left, left: false);
            nodes[at].Left = parent;
        }

        nodes[parent].Parent = at;
    }

    void Adopt(int parent, int child, bool left)
    {
        if (left)
        {
            nodes[parent].Left = child;
        }
        else
        {
            nodes[parent].Right = child;
        }

        if (child != None)
        {
            nodes[child].Parent = parent;
        }
    }

    void Replace(int at, int by)
    {
        var parent = nodes[at].Parent;
        if (parent == None)
        {
            root = by;
        }
        else if (nodes[parent].Left == at)
        {
            nodes[parent].Left = by;
        }
        else
        {
            nodes[parent].Right = by;
        }

        if (by != None)
        {
            nodes[by].Parent = parent;
        }
    }

    static uint Hash(int at)
    {
        var x = (uint)at * 0x9E37_79B1;
        x ^= x >> 15;
        x *= 0x85EB_CA77;
        return x ^ x >> 13;
    }
}
